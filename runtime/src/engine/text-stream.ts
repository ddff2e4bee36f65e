/** Turns tokens into text. `previous` are the tokens before, for tokenizers that put the space before a word. */
export type Detokenize = (tokens: readonly number[], previous: readonly number[]) => string;

export interface TextPiece {
  /** Text that may be sent: possibly empty while a character or a stop string is undecided. */
  readonly text: string;
  /** A stop string was found; nothing after it is ever returned. */
  readonly stopped: boolean;
}

/**
 * A character takes at most four bytes, so four tokens; twice that, because a token may end one character and begin
 * the next. Bytes that are still undecided then are no text.
 */
const MOST_UNDECODED_TOKENS = 8;
const PREVIOUS_TOKENS = 3;
const REPLACEMENT = '\uFFFD';

/**
 * Makes a stream of tokens into a stream of text in which no piece ends in half a character and no piece holds
 * any part of a stop string.
 */
export class TextStream {
  readonly #detokenize: Detokenize;
  readonly #stops: readonly string[];
  /** Tokens whose text ends in an unfinished character. */
  #undecoded: number[] = [];
  #previous: number[] = [];
  /** Text that may be the beginning of a stop string. */
  #held = '';

  constructor(detokenize: Detokenize, stops: readonly string[]) {
    this.#detokenize = detokenize;
    this.#stops = stops.filter((stop) => stop.length > 0);
  }

  push(token: number): TextPiece {
    this.#undecoded.push(token);
    const text = this.#detokenize(this.#undecoded, this.#previous);
    if (text.endsWith(REPLACEMENT) && this.#undecoded.length < MOST_UNDECODED_TOKENS) {
      return { text: '', stopped: false };
    }
    this.#previous = [...this.#previous, ...this.#undecoded].slice(-PREVIOUS_TOKENS);
    this.#undecoded = [];
    return this.#release(text);
  }

  /** The answer is over: what was held back is text after all, an unfinished character is not. */
  end(): string {
    let text = '';
    if (this.#undecoded.length > 0) {
      const unfinished = this.#detokenize(this.#undecoded, this.#previous);
      text = this.#release(unfinished.replace(/\uFFFD+$/, '')).text;
      this.#undecoded = [];
    }
    text += this.#held;
    this.#held = '';
    return text;
  }

  #release(text: string): TextPiece {
    if (this.#stops.length === 0) return { text, stopped: false };
    const candidate = this.#held + text;
    const stopAt = firstOccurrence(candidate, this.#stops);
    if (stopAt >= 0) {
      this.#held = '';
      return { text: candidate.slice(0, stopAt), stopped: true };
    }
    const undecided = longestUndecidedSuffix(candidate, this.#stops);
    this.#held = candidate.slice(candidate.length - undecided);
    return { text: candidate.slice(0, candidate.length - undecided), stopped: false };
  }
}

function firstOccurrence(text: string, stops: readonly string[]): number {
  let first = -1;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at >= 0 && (first < 0 || at < first)) first = at;
  }
  return first;
}

/** Length of the longest end of `text` with which a stop string could begin. */
function longestUndecidedSuffix(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) {
        longest = length;
        break;
      }
    }
  }
  return longest;
}
