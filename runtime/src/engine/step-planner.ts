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
  /** Longest step when nobody decodes: a newcomer and a cancellation wait for it. */
  readonly longestStepMs?: number;
}

/** Slices smaller than this read the weights for too few tokens: the prompt would take twice as long. */
const SMALLEST_SLICE = 32;
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
  readonly #longestStepMs: number;
  /** Milliseconds a token of a slice takes, by size class (the power of two below): small slices cost more a token. */
  readonly #msPerToken = new Map<number, number>();
  #decodeMs = 0;
  /** Milliseconds of decoding that the last slices are owed for. */
  #owedMs = 0;

  constructor(options: StepPlannerOptions) {
    this.#batchSize = options.batchSize;
    this.#gapMs = options.gapMs ?? 150;
    this.#longestStepMs = options.longestStepMs ?? 500;
  }

  plan(lanes: readonly LaneDemand[]): Step {
    const reading = lanes.filter((lane) => lane.promptTokensLeft > 0);
    const decoding = lanes.filter((lane) => lane.promptTokensLeft === 0);
    if (reading.length === 0 || (decoding.length > 0 && this.#owedMs > 0)) {
      if (reading.length === 0) this.#owedMs = 0;
      return { kind: 'decode', shares: new Map(decoding.map((lane) => [lane.sequence, 1])) };
    }
    const budgetMs = decoding.length > 0 ? this.#gapMs - this.#decodeMs : this.#longestStepMs;
    return { kind: 'prefill', shares: split(this.#sliceWithin(budgetMs), reading) };
  }

  /** What the step took, so that the next is better planned. `othersDecode`: whether running answers waited for it. */
  record(step: Step, elapsedMs: number, othersDecode: boolean): void {
    if (step.kind === 'decode') {
      this.#decodeMs = this.#decodeMs === 0 ? elapsedMs : blend(this.#decodeMs, elapsedMs);
      this.#owedMs = Math.max(0, this.#owedMs - elapsedMs);
      return;
    }
    const tokens = sum(step.shares.values());
    const size = sizeClass(tokens);
    const known = this.#msPerToken.get(size);
    const seen = elapsedMs / tokens;
    this.#msPerToken.set(size, known === undefined ? seen : blend(known, seen));
    this.#owedMs = othersDecode ? (elapsedMs * DECODE_SHARE) / (1 - DECODE_SHARE) : 0;
  }

  #sliceWithin(budgetMs: number): number {
    let slice = Math.min(SMALLEST_SLICE, this.#batchSize);
    for (let size = slice * 2; size <= this.#batchSize; size *= 2) {
      if (size * this.#expectedMsPerToken(size) > budgetMs) break;
      slice = size;
    }
    // Between two powers of two, as far as the rate of the smaller one allows.
    const fits = Math.floor(budgetMs / this.#expectedMsPerToken(slice) / 8) * 8;
    return Math.min(this.#batchSize, Math.max(slice, Math.min(fits, slice * 2)));
  }

  /** Of a size that was never tried: what the next smaller one took, for larger slices are cheaper a token. */
  #expectedMsPerToken(size: number): number {
    for (let known = sizeClass(size); known >= 1; known /= 2) {
      const ms = this.#msPerToken.get(known);
      if (ms !== undefined) return ms;
    }
    for (let known = size * 2; known <= this.#batchSize; known *= 2) {
      const ms = this.#msPerToken.get(known);
      if (ms !== undefined) return ms * 1.5;
    }
    return Infinity;
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

function sizeClass(tokens: number): number {
  return 2 ** Math.floor(Math.log2(tokens));
}

function blend(old: number, seen: number): number {
  return old + LEARNING * (seen - old);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
