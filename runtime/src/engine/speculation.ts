import type { Draft } from './prompt-lookup.js';
import { FOUR, type BatchTimes } from './small-batches.js';

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
 * Decides whether guesses are evaluated along with the answers: where the tokens that this is expected to bring are worth
 * the time that it takes.
 *
 * Four tokens are multiplied at once, so there is room for guesses beside one answer or two. llama.cpp evaluates sequences
 * together only where each has as many tokens: so every answer has as many guesses as the other, or none has any.
 */
export class Speculation {
  readonly #times: BatchTimes;

  constructor(times: BatchTimes) {
    this.#times = times;
  }

  /** @param ids of the sequences that are evaluated without guesses, a token each */
  choose(answers: readonly Answer[], ids: readonly number[]): Drafts | undefined {
    const count = FOUR / answers.length - 1;
    if (!Number.isInteger(count) || count < 1 || !areNeighbours(answers)) return undefined;
    if (answers.some(({ room }) => room < 1 + count)) return undefined;
    const drafts = answers.map((answer) => answer.draft(count));
    const more = drafts.reduce((sum, draft) => sum + (draft?.expected ?? 0), 0);
    if (more === 0) return undefined;
    const gain = 1 + more / answers.length;
    const cost = this.#times.expectedMs(FOUR) / this.#times.expectedMsOf(ids);
    return gain > WORTH_IT * cost ? { count, drafts } : undefined;
  }
}

function areNeighbours(answers: readonly Answer[]): boolean {
  const ids = answers.map(({ sequence }) => sequence.id);
  return Math.max(...ids) - Math.min(...ids) === ids.length - 1;
}
