/** node-llama-cpp's sampler keeps this much for each entry of the vocabulary: an id and two floats. */
const BYTES_PER_ENTRY = 12;
/** A collection takes 10 to 40 ms. While requests run it is put off until so much can be freed. */
const WORTH_COLLECTING = 16 * 2 ** 20;
const WORTH_COLLECTING_WHEN_IDLE = 4 * 2 ** 20;

/**
 * Frees node-llama-cpp's samplers. Each slice of a prompt and each answer makes one of 0.6 MB to 3 MB, which is freed
 * when V8 collects the wrapper around it. V8 knows nothing of those bytes and sees no reason to collect: without this
 * the process grew by 20 MB a request, some hundreds in all.
 *
 * Needs `--expose-gc`; does nothing without.
 */
export class SamplerGarbage {
  readonly #bytesEach: number;
  readonly #collect: (() => void) | undefined;
  #bytes = 0;

  constructor(vocabularySize: number, collect = globalThis.gc as (() => void) | undefined) {
    this.#bytesEach = vocabularySize * BYTES_PER_ENTRY;
    this.#collect = collect;
  }

  made(samplers: number): void {
    this.#bytes += samplers * this.#bytesEach;
    if (this.#bytes >= WORTH_COLLECTING) this.#run();
  }

  idle(): void {
    if (this.#bytes >= WORTH_COLLECTING_WHEN_IDLE) this.#run();
  }

  #run(): void {
    this.#bytes = 0;
    // Without arguments: `{type: 'major'}` is not understood by Node 20, which then collects nothing old.
    this.#collect?.();
  }
}
