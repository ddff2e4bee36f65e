/** What evaluations of so many tokens were seen to take, in milliseconds. */
export interface SmallBatches {
  readonly one: number;
  readonly three: number;
  readonly four: number;
}

/** Filling has to be worth its own trouble, and more than steps differ by for no reason. */
const WORTH_IT = 0.95;
/** As many tokens as llama.cpp multiplies at once, of few: see batch-cost.ts. */
const FOUR = 4;
/** Of two sequences none lies between others, nor are there ever four: fewer than this need no measurement. */
export const FEWEST_TO_FILL = 3;

/**
 * Chooses idle sequences that are evaluated along with those that decode, each with a token that is forgotten at once:
 * beside three, because four at once can take less time, and between running ones, because llama.cpp evaluates each run
 * of consecutive ids by itself. What that brings depends on the form of the weights and on the processor, so it is
 * measured. A 1B model in Q4_0 on two cores: one token 45 ms, two 65, three 86, four 55.
 */
export class BatchFilling {
  /** Of each evaluation, of a token that is multiplied by itself, and of four together. */
  readonly #fixedMs: number;
  readonly #oneMs: number;
  readonly #fourMs: number;

  constructor({ one, three, four }: SmallBatches) {
    this.#oneMs = Math.max(0, (three - one) / 2);
    this.#fixedMs = Math.max(0, one - this.#oneMs);
    this.#fourMs = Math.max(0, four - this.#fixedMs);
  }

  /** Ids of idle sequences. */
  choose(running: readonly number[], idle: ReadonlySet<number>): readonly number[] {
    const between = idsBetween(running).filter((id) => idle.has(id));
    let best: readonly number[] = [];
    let bestMs = this.#expectedMs(running) * WORTH_IT;
    for (const added of [
      between,
      beside(running, idle),
      [...between, ...beside([...running, ...between], idle)],
    ]) {
      const ms = this.#expectedMs([...running, ...added]);
      if (added.length === 0 || ms >= bestMs) continue;
      best = added;
      bestMs = ms;
    }
    return best;
  }

  #expectedMs(ids: readonly number[]): number {
    return lengthsOfRuns(ids).reduce(
      (sum, length) =>
        sum + this.#fixedMs + Math.floor(length / FOUR) * this.#fourMs + (length % FOUR) * this.#oneMs,
      0,
    );
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

function lengthsOfRuns(ids: readonly number[]): number[] {
  const lengths: number[] = [];
  let previous: number | undefined;
  for (const id of [...ids].sort((a, b) => a - b)) {
    if (id - 1 === previous) lengths.push((lengths.pop() ?? 0) + 1);
    else lengths.push(1);
    previous = id;
  }
  return lengths;
}
