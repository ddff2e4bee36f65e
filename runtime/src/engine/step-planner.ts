import { ATTENTION_TILE, costOf, costOfShares, GROUP, wellSized } from './batch-cost.js';

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

/** What a slice has at the least beside answers, where even sixteen tokens would take too long: those cost a fifth less each. */
const SMALLEST_SLICE = 8;
/**
 * When nobody decodes, slices are at least this large, whatever they take: in slices of 64 a 1B model reads 5 % slower than
 * in these, in smaller ones 20 %.
 */
const EFFICIENT_SLICE = 2 * ATTENTION_TILE;
/**
 * What a prompt that comes to an idle machine has first: those that come at the same moment are there when it is read, and
 * are read together with it. A slice of a whole group, so it costs nothing, where there is at least another one: a few
 * tokens by themselves take as long as reading all weights from memory, so short prompts, and second turns, are read whole.
 */
const FIRST_SLICE = GROUP;
/** Prompts are read together, and answered from the same moment on, where the longest is at most so many times the shortest. */
const ALIKE = 2;
/** Fewer prompts in a slice have to be worth it: those that are read side by side end together. */
const WORTH_FEWER = 1.05;
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
 * Of several prompts, a slice is of one, as long as that does not keep somebody waiting who could be answered: small
 * shares of several are read much slower. A fast machine (its slices are large beside answers, too) reads the one that
 * ends first and the oldest in turn, and who is done is answered beside the others. On a slow one that would cost more
 * than it brings: there, prompts that are alike are read one after the other up to their last tokens, which are then
 * evaluated together; and beside answers they are read side by side.
 */
export class StepPlanner {
  readonly #batchSize: number;
  readonly #gapMs: number;
  readonly #idleStepMs: number;
  /** Of reading whole groups; undefined until the first slice was measured. */
  #msPerToken: number | undefined;
  #decodeMs: number | undefined;
  /** Milliseconds of decoding that are due for the last slice. */
  #owedMs = 0;
  /** The last slice was beside answers, which have had no token since. */
  #isDecodeDue = false;
  /** The last slice was of a prompt that came later. */
  #oldestIsDue = false;
  /** Requests whose prompts are read before any of them is answered. */
  #together = new Set<number>();
  /** The last that came to an idle machine. */
  #begun: number | undefined;
  /** Of requests whose prompts are read side by side: tokens that were. */
  #readBeside = new Map<number, number>();

  constructor(options: StepPlannerOptions) {
    this.#batchSize = options.batchSize;
    this.#gapMs = options.gapMs ?? 250;
    this.#idleStepMs = options.idleStepMs ?? 500;
  }

  plan(lanes: readonly LaneDemand[]): Step {
    const reading = lanes.filter((lane) => lane.promptTokensLeft > 0);
    const decoding = lanes.filter((lane) => lane.promptTokensLeft === 0);
    // One step in any case, and no further one more than half of which would be too much.
    const isOwed = this.#isDecodeDue || this.#owedMs > (this.#decodeMs ?? 0) / 2;
    if (reading.length === 0 || (decoding.length > 0 && isOwed)) {
      if (reading.length === 0) this.#owedMs = 0;
      return { kind: 'decode', shares: new Map(decoding.map((lane) => [lane.sequence, 1])) };
    }
    const besideAnswers = this.#sliceWithin(this.#gapMs - (this.#decodeMs ?? 0), SMALLEST_SLICE);
    return { kind: 'prefill', shares: this.#shares(besideAnswers, reading, decoding.length > 0) };
  }

  #shares(besideAnswers: number, reading: readonly LaneDemand[], isBeside: boolean): Map<number, number> {
    const slice = isBeside ? besideAnswers : this.#sliceWithin(this.#idleStepMs, EFFICIENT_SLICE);
    if (besideAnswers >= ATTENTION_TILE) return this.#inTurn(slice, reading);
    return isBeside ? this.#sideBySide(slice, reading) : this.#upToTheLast(slice, reading);
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
      this.#isDecodeDue = false;
      return;
    }
    this.#msPerToken = blend(this.#msPerToken, elapsedMs / costOfShares(step.shares.values()));
    this.#owedMs = othersDecode ? (elapsedMs * DECODE_SHARE) / (1 - DECODE_SHARE) : 0;
    this.#isDecodeDue = othersDecode;
  }

  /**
   * Equal shares of neighbouring sequences, so that llama.cpp evaluates them together, of as many as fill whole groups: the
   * prompt of which least was read beside others, of equals the one that ends first, and those around it.
   */
  #sideBySide(slice: number, reading: readonly LaneDemand[]): Map<number, number> {
    // Who comes begins where the others are, or it would have all slices until it was as far.
    const least = Math.min(...reading.map(({ request }) => this.#readBeside.get(request) ?? Infinity));
    const newcomer = Number.isFinite(least) ? least : 0;
    this.#readBeside = new Map(
      reading.map(({ request }) => [request, this.#readBeside.get(request) ?? newcomer]),
    );
    const read = ({ request }: LaneDemand): number => this.#readBeside.get(request) ?? 0;
    const byTurn = endingFirst(reading).sort((a, b) => read(a) - read(b));
    let best = { lanes: byTurn.slice(0, 1), share: 1, efficiency: 0 };
    for (const lanes of neighbourhoods(byTurn)) {
      const ending = Math.min(...lanes.map((lane) => lane.promptTokensLeft));
      const share = Math.min(ending, inFours(slice / lanes.length));
      const efficiency = (share * lanes.length) / costOf(share * lanes.length);
      if (efficiency > best.efficiency * WORTH_FEWER) best = { lanes, share, efficiency };
    }
    for (const lane of best.lanes) this.#readBeside.set(lane.request, read(lane) + best.share);
    return new Map(best.lanes.map((lane) => [lane.sequence, best.share]));
  }

  /**
   * Of those that are alike the one that ends first, up to its last token; when all are read so far, their last tokens.
   * Who comes meanwhile is read first where that is soon done; the oldest has every other slice, whoever comes.
   */
  #upToTheLast(slice: number, reading: readonly LaneDemand[]): Map<number, number> {
    const byEnd = endingFirst(reading);
    const isInGroup = ({ request }: LaneDemand): boolean => this.#together.has(request);
    if (!byEnd.some(isInGroup)) {
      const [first, second] = byEnd;
      if (first !== undefined && second === undefined && first.request !== this.#begun) {
        this.#begun = first.request;
        if (first.promptTokensLeft >= 2 * FIRST_SLICE) return new Map([[first.sequence, FIRST_SLICE]]);
      }
      this.#together = this.#alike(byEnd);
    }
    const group = byEnd.filter(isInGroup);
    const left = group.reduce((sum, { promptTokensLeft }) => sum + promptTokensLeft, 0);
    const newcomer = byEnd.find((lane) => !isInGroup(lane) && lane.promptTokensLeft * ALIKE < left);
    const oldest = oldestOf(reading);
    const isPassedOver =
      oldest !== undefined && oldest !== newcomer && (newcomer !== undefined || !isInGroup(oldest));
    const isDue = isPassedOver && this.#oldestIsDue;
    this.#oldestIsDue = isPassedOver && !isDue;
    if (isDue) return new Map([[oldest.sequence, Math.min(slice, oldest.promptTokensLeft)]]);
    const next = newcomer ?? (group.length > 1 ? group.find((lane) => lane.promptTokensLeft > 1) : undefined);
    if (next === undefined)
      return new Map(group.map((lane) => [lane.sequence, Math.min(slice, lane.promptTokensLeft)]));
    const kept = next === newcomer ? 0 : 1;
    return new Map([[next.sequence, Math.min(slice, next.promptTokensLeft - kept)]]);
  }

  /** The requests of those that end first and take about as long. */
  #alike(byEnd: readonly LaneDemand[]): Set<number> {
    const whole = ({ request, promptTokensLeft }: LaneDemand): number =>
      promptTokensLeft + (request === this.#begun ? FIRST_SLICE : 0);
    const shortest = Math.min(...byEnd.map(whole));
    return new Set(byEnd.filter((lane) => whole(lane) <= ALIKE * shortest).map(({ request }) => request));
  }

  /** As many tokens as fit the time, and at least `smallest`. */
  #sliceWithin(budgetMs: number, smallest: number): number {
    const fits = this.#msPerToken === undefined ? 0 : Math.floor(budgetMs / this.#msPerToken);
    return Math.min(this.#batchSize, wellSized(Math.max(smallest, fits)));
  }
}

/** The first with its neighbours, in consecutive sequences, the most first; at each end the one goes that comes later in turn. */
function neighbourhoods(byTurn: readonly LaneDemand[]): LaneDemand[][] {
  const turnOf = new Map(byTurn.map((lane, turn) => [lane.sequence, { lane, turn }]));
  const first = byTurn[0];
  if (first === undefined) return [];
  let [from, to] = [first.sequence, first.sequence];
  while (turnOf.has(from - 1)) from--;
  while (turnOf.has(to + 1)) to++;
  const found: LaneDemand[][] = [];
  while (from <= to) {
    const ids = Array.from({ length: to - from + 1 }, (_, at) => from + at);
    found.push(ids.flatMap((id) => turnOf.get(id)?.lane ?? []));
    const lateness = (id: number): number => (id === first.sequence ? -1 : (turnOf.get(id)?.turn ?? -1));
    if (lateness(from) > lateness(to)) from++;
    else to--;
  }
  return found;
}

/** The most of it that is multiplied four at a time. */
function inFours(tokens: number): number {
  return tokens < 4 ? Math.floor(tokens) : Math.floor(tokens / 4) * 4;
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
