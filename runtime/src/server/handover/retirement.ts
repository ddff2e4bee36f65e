/** The end of a process in whose place another one answers: what runs here ends in its own time. */
import { availableMemory, mebibytes } from '../../engine/memory.js';
import type { Logger } from '../../log/logger.js';
import type { RunningServer } from '../server.js';
import type { Predecessor } from './predecessor.js';

const MEMORY_INTERVAL_MS = 500;
const LEAST_FREE_BYTES = 64 * 1024 * 1024;

export interface RetirementOptions {
  readonly server: RunningServer;
  readonly log: Logger;
  /** One that this process has itself taken over from, and that may not have ended yet. */
  readonly predecessor?: Predecessor | undefined;
  /** How long a process may take to end once the service is told to. */
  readonly hurriedMs: number;
}

export class Retirement {
  readonly #options: RetirementOptions;
  readonly #limit = new AbortController();
  /** Resolves when all has ended, or has had its time. No connection comes here any more from the beginning on. */
  readonly ended: Promise<void>;

  /** @param limitMs how long answers may take */
  constructor(options: RetirementOptions, limitMs: number) {
    this.#options = options;
    this.#endIn(limitMs);
    const watch = setInterval(() => void this.#lookAtMemory(), MEMORY_INTERVAL_MS).unref();
    // Its channel is this process's: gone with this one, it would be in a hurry.
    const all = Promise.all([
      options.server.retire(this.#limit.signal),
      options.predecessor?.awaitEnd(limitMs),
    ]);
    this.ended = all.then(() => clearInterval(watch));
  }

  /** The new process is told to end, or has ended. */
  hurry(): void {
    const { hurriedMs, predecessor } = this.#options;
    this.#endIn(hurriedMs);
    void predecessor?.end(hurriedMs);
  }

  #endIn(ms: number): void {
    setTimeout(() => this.#limit.abort(), ms).unref();
  }

  /** The new process's conversations grow: before the kernel takes an engine, the last answers here are cut. */
  async #lookAtMemory(): Promise<void> {
    const free = await availableMemory();
    if (free === undefined || free.bytes >= LEAST_FREE_BYTES || this.#limit.signal.aborted) return;
    this.#options.log.log(
      'WRN',
      `reload: only ${mebibytes(free.bytes)} are free: the old process's last answers are cut`,
    );
    this.#limit.abort();
  }
}
