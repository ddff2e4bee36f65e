import { FOUR, type BatchTimes } from './small-batches.js';

/** Filling has to be worth its own trouble, and more than steps differ by for no reason. */
const WORTH_IT = 0.95;

/**
 * Chooses idle sequences that are evaluated along with those that decode, each with a token that is forgotten at once:
 * beside three, because four at once can take less time, and between running ones, because llama.cpp evaluates each run
 * of consecutive ids by itself.
 */
export class BatchFilling {
  readonly #times: BatchTimes;

  constructor(times: BatchTimes) {
    this.#times = times;
  }

  /** Ids of idle sequences. */
  choose(running: readonly number[], idle: ReadonlySet<number>): readonly number[] {
    const between = idsBetween(running).filter((id) => idle.has(id));
    let best: readonly number[] = [];
    let bestMs = this.#times.expectedMsOf(running) * WORTH_IT;
    for (const added of [
      between,
      beside(running, idle),
      [...between, ...beside([...running, ...between], idle)],
    ]) {
      const ms = this.#times.expectedMsOf([...running, ...added]);
      if (added.length === 0 || ms >= bestMs) continue;
      best = added;
      bestMs = ms;
    }
    return best;
  }
}

/** Those that are not running. */
function idsBetween(running: readonly number[]): number[] {
  const present = new Set(running);
  const first = Math.min(...running);
  const length = Math.max(...running) - first;
  return Array.from({ length }, (_, at) => first + at).filter((id) => !present.has(id));
}

/** Next to the last, or before the first, up to a multiple of four. None where there are not enough. */
function beside(running: readonly number[], idle: ReadonlySet<number>): number[] {
  const missing = (FOUR - (running.length % FOUR)) % FOUR;
  const added: number[] = [];
  let first = Math.min(...running);
  let last = Math.max(...running);
  while (added.length < missing) {
    const next = idle.has(last + 1) ? ++last : idle.has(first - 1) ? --first : undefined;
    if (next === undefined) return [];
    added.push(next);
  }
  return added;
}
