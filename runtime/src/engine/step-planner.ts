/** What a request needs next. */
export interface LaneDemand {
  /** Its number: the smallest came first, wherever it runs by now. */
  readonly request: number;
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

/**
 * Slices smaller than this read the weights for too few tokens: the prompt would take several times as long. (A 1B model
 * on two cores takes 10.3 ms a token in slices of 8, 8.4 in slices of 16 and 8.3 in slices of 32.)
 */
const SMALLEST_SLICE = 8;
/**
 * When nobody decodes, slices are at least this large, whatever they take: a 1B model in Q4_0 on two cores read 77
 * tokens/s in slices of 32, 84 in slices of 64, 118 in slices of 128 and 113 in slices of 256.
 */
const EFFICIENT_SLICE = 128;
/** A slice of n tokens takes as long as n + this many tokens of an endless one: what the weights cost to read. */
const SLICE_OVERHEAD_TOKENS = 12;
/**
 * A slice of at least this many tokens is of one prompt. With SmolLM2 on two cores, 124 tokens of one are read a third
 * faster than 31 of each of four, and those who are done decode beside the next: four users with 250 tokens each were
 * served a tenth faster than side by side. With a 1B model, whose slices are of 8 to 16 tokens then, a tenth slower.
 */
const ONE_AT_A_TIME = 64;
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
 *
 * Several prompts are read one after the other where a running answer lets slices be large (see ONE_AT_A_TIME), and
 * else side by side, so that they end together: what one decodes while the others are read in small slices costs more
 * than it brings.
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
  /** The last slice was of a prompt that came later. */
  #oldestIsDue = false;

  constructor(options: StepPlannerOptions) {
    this.#batchSize = options.batchSize;
    this.#gapMs = options.gapMs ?? 220;
    this.#idleStepMs = options.idleStepMs ?? 500;
  }

  plan(lanes: readonly LaneDemand[]): Step {
    const reading = lanes.filter((lane) => lane.promptTokensLeft > 0);
    const decoding = lanes.filter((lane) => lane.promptTokensLeft === 0);
    if (reading.length === 0 || (decoding.length > 0 && this.#owedMs > 0)) {
      if (reading.length === 0) this.#owedMs = 0;
      return { kind: 'decode', shares: new Map(decoding.map((lane) => [lane.sequence, 1])) };
    }
    const besideAnswers = this.#sliceWithin(this.#gapMs - (this.#decodeMs ?? 0), SMALLEST_SLICE);
    const slice = decoding.length > 0 ? besideAnswers : this.#sliceWithin(this.#idleStepMs, EFFICIENT_SLICE);
    const shares = besideAnswers >= ONE_AT_A_TIME ? this.#inTurn(slice, reading) : sideBySide(slice, reading);
    return { kind: 'prefill', shares };
  }

  /**
   * The slice is of the prompt that ends first, and of the oldest in turn, which thus gets half of the slices whoever
   * comes; others go along that end within what is left of it.
   */
  #inTurn(slice: number, reading: readonly LaneDemand[]): Map<number, number> {
    const shares = new Map<number, number>();
    const oldest = oldestOf(reading);
    const byEnd = endingFirst(reading);
    const first = this.#oldestIsDue ? oldest : byEnd[0];
    let left = slice;
    for (const lane of new Set([first, ...byEnd])) {
      if (lane === undefined || (shares.size > 0 && lane.promptTokensLeft > left)) break;
      const share = Math.min(left, lane.promptTokensLeft);
      shares.set(lane.sequence, share);
      left -= share;
    }
    this.#oldestIsDue = oldest !== undefined && !shares.has(oldest.sequence);
    return shares;
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

/**
 * Equal shares, and what one does not need goes to the others: short prompts get through first. Of more prompts than the
 * slice has tokens, those that end first and the oldest.
 */
function sideBySide(slice: number, reading: readonly LaneDemand[]): Map<number, number> {
  const shares = new Map<number, number>();
  let left = slice;
  const oldest = reading.length > slice ? oldestOf(reading) : undefined;
  const chosen = [...new Set([...(oldest === undefined ? [] : [oldest]), ...endingFirst(reading)])];
  const byEnd = endingFirst(chosen.slice(0, slice));
  byEnd.forEach((lane, index) => {
    const share = Math.min(lane.promptTokensLeft, Math.floor(left / (byEnd.length - index)));
    if (share > 0) shares.set(lane.sequence, share);
    left -= share;
  });
  return shares;
}

function oldestOf(lanes: readonly LaneDemand[]): LaneDemand | undefined {
  return [...lanes].sort((a, b) => a.request - b.request)[0];
}

function endingFirst(lanes: readonly LaneDemand[]): LaneDemand[] {
  return [...lanes].sort((a, b) => a.promptTokensLeft - b.promptTokensLeft);
}

function blend(known: number | undefined, seen: number): number {
  return known === undefined ? seen : known + LEARNING * (seen - known);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
