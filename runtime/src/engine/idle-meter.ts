import { readFileSync } from 'node:fs';

/** A processor idle for this part of the time can be used. */
export const SPARE = 0.6;

/** Processors that are idle, whoever runs on the others. */
export class IdleMeter {
  readonly #idleMs: () => number | undefined;
  readonly #now: () => number;
  #start: { readonly now: number; readonly idleMs: number | undefined };

  /** @param idleMs milliseconds that the processors were idle, all together; `undefined` where that is not known */
  constructor(now: () => number, idleMs: () => number | undefined = machineIdleMs) {
    this.#now = now;
    this.#idleMs = idleMs;
    this.#start = { now: now(), idleMs: idleMs() };
  }

  /** Since the mark. */
  get elapsedMs(): number {
    return this.#now() - this.#start.now;
  }

  /** Since the mark, as a number of processors: 0.5 is one for half the time. */
  spare(): number | undefined {
    const idleMs = this.#idleMs();
    const elapsed = this.elapsedMs;
    if (idleMs === undefined || this.#start.idleMs === undefined || elapsed <= 0) return undefined;
    return (idleMs - this.#start.idleMs) / elapsed;
  }

  mark(): void {
    this.#start = { now: this.#now(), idleMs: this.#idleMs() };
  }
}

/** The fourth figure of /proc/stat, in ticks of 10 ms. Read at once: an asynchronous read waits behind evaluations. */
function machineIdleMs(): number | undefined {
  try {
    const idle = /^cpu\s+\d+ \d+ \d+ (\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1];
    return idle === undefined ? undefined : Number(idle) * 10;
  } catch {
    return undefined;
  }
}
