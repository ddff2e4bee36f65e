/** Slices of prompt after which the young generation is collected: 1.5 ms. */
const SLICES = 4;
/** Requests after which everything is collected, 20 to 40 ms: at the latest, and when nothing runs. */
const REQUESTS = 32;
const REQUESTS_WHEN_IDLE = 4;

/**
 * Frees node-llama-cpp's samplers. Each evaluation makes one, with 12 bytes for each entry of the vocabulary (0.6 MB
 * to 3 MB) that are freed when V8 collects the wrapper around them. V8 knows nothing of those bytes and sees no reason
 * to collect: without this the process grew by 10 MB a request.
 *
 * Needs `--expose-gc`; does nothing without.
 */
export class SamplerGarbage {
  readonly #collect = globalThis.gc;
  #slices = 0;
  #requests = 0;

  sliceRead(): void {
    if (++this.#slices < SLICES) return;
    this.#slices = 0;
    void this.#collect?.({ type: 'minor' });
  }

  /** `idle`: no other request runs or waits. */
  requestEnded(idle: boolean): void {
    if (++this.#requests < (idle ? REQUESTS_WHEN_IDLE : REQUESTS)) return;
    this.#requests = 0;
    void this.#collect?.({ type: 'major' });
  }
}
