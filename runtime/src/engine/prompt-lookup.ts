import type { Token } from 'node-llama-cpp';

/** Tokens that an answer may go on with. */
export interface Draft {
  readonly tokens: readonly Token[];
  /** How many tokens before them are the same as those that stand there now. */
  readonly matched: number;
  /** How many of them, counted from the first, are expected to be right. */
  readonly expected: number;
}

/** Where the same tokens stood before: how many of them, and where the text goes on. */
interface Match {
  readonly matched: number;
  readonly next: number;
}

/** Longer matches are not told apart. */
const LONGEST_MATCH = 5;
/**
 * The share of guesses that were right behind a match of so many tokens: 32 answers of SmolLM2 to 11 prompts (essays,
 * lists, summaries, extracts, code, JSON), at temperatures of 0 and 0.7.
 */
const USUALLY_RIGHT = [0, 0.3, 0.55, 0.6, 0.65, 0.9];
/** What an answer shows of itself counts as much as that after so many guesses. */
const USUAL_GUESSES = 8;

/**
 * Guesses how an answer goes on: as the text went on, prompt or answer, where the same tokens stood before. Right where an
 * answer quotes, corrects, summarises or repeats itself, and in the frame of JSON and code.
 *
 * This is prompt lookup decoding: the guesses are evaluated along with the token before them, which costs little (see
 * BatchTimes), and those are kept that the sampler chooses anyway. So an answer is as it would be without, and only sooner.
 */
export class PromptLookup {
  readonly #tokens: Token[];
  /** By the length of the match. */
  readonly #right = USUALLY_RIGHT.map((share) => share * USUAL_GUESSES);
  readonly #guessed = USUALLY_RIGHT.map(() => USUAL_GUESSES);
  /** Of the tokens as they are; looked for once, also where several numbers of guesses are considered. */
  #match: Match | undefined;

  constructor(prompt: readonly Token[]) {
    this.#tokens = [...prompt];
  }

  /** The answer has another token. */
  add(token: Token): void {
    this.#tokens.push(token);
    this.#match = undefined;
  }

  /** The next `count` tokens; undefined where the last one stands for the first time. */
  draft(count: number): Draft | undefined {
    const { matched, next } = (this.#match ??= this.#lastMatch());
    if (matched === 0) return undefined;
    const tokens: Token[] = [];
    // Past the end it goes on with itself: what repeats is guessed to go on repeating.
    for (let at = next; tokens.length < count; at++) {
      const token = this.#tokens[at] ?? tokens[at - this.#tokens.length];
      if (token === undefined) break;
      tokens.push(token);
    }
    const chance = (this.#right[matched] ?? 0) / (this.#guessed[matched] ?? 1);
    let expected = 0;
    for (let length = 1; length <= tokens.length; length++) expected += chance ** length;
    return { tokens, matched, expected };
  }

  /** How many of a draft's tokens were right. */
  learn({ tokens, matched }: Draft, right: number): void {
    this.#right[matched] = (this.#right[matched] ?? 0) + right;
    this.#guessed[matched] = (this.#guessed[matched] ?? 0) + Math.min(right + 1, tokens.length);
  }

  /** The longest match of what stands at the end, the latest of those, and where the text goes on behind it. */
  #lastMatch(): Match {
    const tokens = this.#tokens;
    const last = tokens.length - 1;
    let [matched, next] = [0, 0];
    for (let at = last - 1; at >= 0 && matched < LONGEST_MATCH; at--) {
      let length = 0;
      while (length < LONGEST_MATCH && length <= at && tokens[at - length] === tokens[last - length])
        length++;
      if (length > matched) [matched, next] = [length, at + 1];
    }
    return { matched, next };
  }
}
