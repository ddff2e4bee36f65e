/** What a request needs next. */
export interface LaneDemand {
  /** The sequence it runs on. */
  readonly sequence: number;
  /** Tokens of its prompt that are not evaluated yet; 0 while it decodes. */
  readonly promptTokensLeft: number;
}

/** One evaluation: how many tokens each sequence puts in. */
export interface Step {
  readonly kind: 'decode' | 'prefill';
  readonly shares: ReadonlyMap<number, number>;
}

export interface StepPlannerOptions {
  readonly batchSize: number;
  /** The gap between two tokens of a running answer that reading someone else's prompt may cause. */
  readonly gapMs?: number;
  /** A step may take this long when nobody decodes: a newcomer and a cancellation wait for it. */
  readonly idleStepMs?: number;
}

/** Slices smaller than this read the weights for too few tokens: the prompt would take several times as long. */
const SMALLEST_SLICE = 16;
/**
 * When nobody decodes, slices are at least this large, whatever they take: a 1B model in Q4_0 on two cores read 77
 * tokens/s in slices of 32, 84 in slices of 64, 118 in slices of 128 and 113 in slices of 256.
 */
const EFFICIENT_SLICE = 128;
/** A slice of n tokens takes as long as n + this many tokens of an endless one: what the weights cost to read. */
const SLICE_OVERHEAD_TOKENS = 12;
/** While someone reads a prompt, the part of the time that those who decode keep. */
const DECODE_SHARE = 0.25;
/** How fast a new measurement replaces the old. */
const LEARNING = 0.5;

/**
 * Decides what each step evaluates.
 *
 * Prompts and answers take turns instead of sharing a batch: llama.cpp would split a mixed batch in two evaluations
 * anyway, and apart they can be measured. A slice of prompt is as large as fits the time that a running answer may
 * be held up, by what slices were seen to take; then the answers get several tokens, until they have had their share
 * of the time. When nobody decodes, slices are large.
 */
export class StepPlanner {
  readonly #batchSize: number;
  readonly #gapMs: number;
  readonly #idleStepMs: number;
  /** Of reading; undefined until the first slice was measured. */
  #msPerToken: number | undefined;
  #decodeMs: number | undefined;
  /** Milliseconds of decoding that are due for the last slice. */
  #owedMs = 0;

  constructor(options: StepPlannerOptions) {
    this.#batchSize = options.batchSize;
    this.#gapMs = options.gapMs ?? 250;
    this.#idleStepMs = options.idleStepMs ?? 500;
  }

  plan(lanes: readonly LaneDemand[]): Step {
    const reading = lanes.filter((lane) => lane.promptTokensLeft > 0);
    const decoding = lanes.filter((lane) => lane.promptTokensLeft === 0);
    if (reading.length === 0 || (decoding.length > 0 && this.#owedMs > 0)) {
      if (reading.length === 0) this.#owedMs = 0;
      return { kind: 'decode', shares: new Map(decoding.map((lane) => [lane.sequence, 1])) };
    }
    const slice =
      decoding.length > 0
        ? this.#sliceWithin(this.#gapMs - (this.#decodeMs ?? 0), SMALLEST_SLICE)
        : this.#sliceWithin(this.#idleStepMs, EFFICIENT_SLICE);
    return { kind: 'prefill', shares: split(slice, reading) };
  }

  /** What the step took, so that the next is better planned. `othersDecode`: whether running answers waited for it. */
  record(step: Step, elapsedMs: number, othersDecode: boolean): void {
    if (step.kind === 'decode') {
      this.#decodeMs = blend(this.#decodeMs, elapsedMs);
      this.#owedMs = Math.max(0, this.#owedMs - elapsedMs);
      return;
    }
    this.#msPerToken = blend(
      this.#msPerToken,
      elapsedMs / (sum(step.shares.values()) + SLICE_OVERHEAD_TOKENS),
    );
    this.#owedMs = othersDecode ? (elapsedMs * DECODE_SHARE) / (1 - DECODE_SHARE) : 0;
  }

  #sliceWithin(budgetMs: number, smallest: number): number {
    const fits =
      this.#msPerToken === undefined ? 0 : Math.floor(budgetMs / this.#msPerToken) - SLICE_OVERHEAD_TOKENS;
    return Math.min(this.#batchSize, Math.max(smallest, fits));
  }
}

/** Equal shares, and what one does not need goes to the others: short prompts get through first. */
function split(tokens: number, lanes: readonly LaneDemand[]): Map<number, number> {
  const shares = new Map<number, number>();
  let left = tokens;
  const hungry = [...lanes].sort((a, b) => a.promptTokensLeft - b.promptTokensLeft);
  hungry.forEach((lane, index) => {
    const share = Math.min(lane.promptTokensLeft, Math.floor(left / (hungry.length - index)));
    if (share > 0) shares.set(lane.sequence, share);
    left -= share;
  });
  return shares;
}

function blend(known: number | undefined, seen: number): number {
  return known === undefined ? seen : known + LEARNING * (seen - known);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
