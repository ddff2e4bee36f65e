/** What evaluations of so many tokens were seen to take, in milliseconds, the choice of a token behind each included. */
export interface SmallBatches {
  readonly one: number;
  readonly three: number;
  readonly four: number;
  readonly eight: number;
}

/** As many tokens as llama.cpp multiplies at once, of few: see batch-cost.ts. */
export const FOUR = 4;

/**
 * What small batches take on this machine. It depends on the form of the weights, on the kernels and on the processor: a 1B
 * model in Q4_0 on two cores takes 24 ms for one token, 36 for two, 46 for three, 29 for four, and 46 for eight.
 */
export class BatchTimes {
  /** Of each evaluation, of a token that is multiplied by itself, of the first four together and of four more. */
  readonly #fixedMs: number;
  readonly #oneMs: number;
  readonly #fourMs: number;
  readonly #nextFourMs: number;

  constructor({ one, three, four, eight }: SmallBatches) {
    this.#oneMs = Math.max(0, (three - one) / 2);
    this.#fixedMs = Math.max(0, one - this.#oneMs);
    this.#fourMs = Math.max(0, four - this.#fixedMs);
    this.#nextFourMs = Math.max(0, eight - four);
  }

  /** Milliseconds of one evaluation. */
  expectedMs(tokens: number): number {
    const fours = Math.floor(tokens / FOUR);
    const whole = fours === 0 ? 0 : this.#fourMs + (fours - 1) * this.#nextFourMs;
    return this.#fixedMs + whole + (tokens % FOUR) * this.#oneMs;
  }

  /** Of a token of each of these sequences: each run of consecutive ids is evaluated by itself. */
  expectedMsOf(ids: readonly number[]): number {
    return lengthsOfRuns(ids).reduce((sum, length) => sum + this.expectedMs(length), 0);
  }
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
