import type { Draft } from './prompt-lookup.js';
import { FOUR, type BatchTimes } from './small-batches.js';

/** Tokens of a batch that has guesses in it. */
const BATCHES = [FOUR, 2 * FOUR] as const;
/** So many times the tokens in the same time: less is not worth it, as times differ by as much for no reason. */
const WORTH_IT = 1.1;

/** An answer that is about to be evaluated. */
export interface Answer {
  readonly sequence: { readonly id: number };
  /** Tokens that its sequence has room for. */
  readonly room: number;
  /** How it may go on. Undefined where that is not known. */
  draft(count: number): Draft | undefined;
}

/** Guesses for a step: so many for each answer, any tokens where it is not known how it goes on. */
export interface Drafts {
  readonly count: number;
  /** In the order of the answers. */
  readonly drafts: readonly (Draft | undefined)[];
}

/**
 * Decides whether guesses are evaluated along with the answers, and how many: where the tokens that this is expected to bring
 * are worth the time that it takes.
 *
 * Four tokens are multiplied at once, and eight take little longer where kernels and memory allow it; so there is room for
 * guesses beside one, two or four answers. llama.cpp evaluates sequences together only where each has as many tokens: so
 * every answer has as many guesses as the others, or none has any.
 */
export class Speculation {
  readonly #times: BatchTimes;

  constructor(times: BatchTimes) {
    this.#times = times;
  }

  /** @param ids of the sequences that are evaluated without guesses, a token each */
  choose(answers: readonly Answer[], ids: readonly number[]): Drafts | undefined {
    if (!areNeighbours(answers)) return undefined;
    let best: Drafts | undefined;
    let bestGain = WORTH_IT;
    for (const tokens of BATCHES) {
      const drafts = draftsFor(answers, tokens);
      if (drafts === undefined) continue;
      const gain = gainOf(drafts) * (this.#times.expectedMsOf(ids) / this.#times.expectedMs(tokens));
      if (gain <= bestGain) continue;
      best = drafts;
      bestGain = gain;
    }
    return best;
  }
}

/** So many that the batch has this many tokens. Undefined where it cannot, or nothing is known. */
function draftsFor(answers: readonly Answer[], tokens: number): Drafts | undefined {
  const count = tokens / answers.length - 1;
  if (!Number.isInteger(count) || count < 1 || answers.some(({ room }) => room < 1 + count)) return undefined;
  const drafts = answers.map((answer) => answer.draft(count));
  return drafts.every((draft) => draft === undefined) ? undefined : { count, drafts };
}

/** Tokens that an answer is expected to have after the step, for each that it has without guesses. */
function gainOf({ drafts }: Drafts): number {
  return 1 + drafts.reduce((sum, draft) => sum + (draft?.expected ?? 0), 0) / drafts.length;
}

function areNeighbours(answers: readonly Answer[]): boolean {
  const ids = answers.map(({ sequence }) => sequence.id);
  return Math.max(...ids) - Math.min(...ids) === ids.length - 1;
}
