/**
 * What stands where in JSON, as it comes: so that it is still JSON when words in it are masked. Of a text that should
 * have been JSON and is not, the parts that are none are masked as any text is.
 */

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A place, and what takes it. */
export interface Replacement extends Span {
  readonly by: string;
}

type Kind =
  /** The inside of a string. */
  | 'text'
  /** A number, `true`, `false` or `null`; until it has ended, what may become one. */
  | 'scalar'
  /** Outside of strings, what is no JSON. */
  | 'foreign';

interface Part extends Span {
  to: number;
  kind: Kind;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const IN_NUMBERS = '0123456789.eE+-';
/**
 * So many characters, and a number is one whatever follows: it is masked as a whole, and one word in it is as good as all
 * the hundreds of thousands that there may be.
 */
const LONG_NUMBER = 1024;
const NAMES = ['true', 'false', 'null'];
const BETWEEN = ' \t\n\r{}[],:';

export class JsonParts {
  /** In their order, and nothing of what is between them: punctuation, which stays as it is. */
  readonly #parts: Part[] = [];
  /** The last of them, as long as it goes on. */
  #open: Part | undefined;
  /** Of an open scalar. */
  #written = '';
  #isNumber = false;
  #afterBackslash = false;
  #at = 0;

  read(text: string): void {
    for (let index = 0; index < text.length; index++) this.#take(text.charAt(index), this.#at + index);
    this.#at += text.length;
    if (this.#open !== undefined) this.#open.to = this.#at;
  }

  end(): void {
    this.#close(this.#at);
  }

  /** The last place up to `end` that is not within what a mask may replace as a whole. */
  whole(end: number): number {
    const isAround = (part: Part) => part.from < end && (end < part.to || part === this.#open);
    return this.#parts.find((part) => part.kind === 'scalar' && isAround(part))?.from ?? end;
  }

  /** Where an open number begins that is masked as a whole if a word is in it. */
  get longNumberFrom(): number | undefined {
    const open = this.#open;
    return open?.kind === 'scalar' && this.#isLong(open, this.#at) ? open.from : undefined;
  }

  /** What is before `end` is not asked for any more. */
  forget(end: number): void {
    const kept = this.#parts.findIndex((part) => part === this.#open || part.to > end);
    this.#parts.splice(0, kept === -1 ? this.#parts.length : kept);
  }

  /** `words`: in the order of their beginnings. Where one is nothing but punctuation, nothing takes its place. */
  mask(words: readonly Span[], by: string): Replacement[] {
    const replacements: Replacement[] = [];
    let first = 0;
    for (const word of words) {
      while ((this.#parts[first]?.to ?? Infinity) <= word.from) first++;
      const hit: Part[] = [];
      for (let at = first; ; at++) {
        const part = this.#parts[at];
        if (part === undefined || part.from >= word.to) break;
        if (part.to > part.from) hit.push(part);
      }
      if (hit.some(({ kind }) => kind === 'foreign')) replacements.push({ ...word, by });
      else for (const part of hit) replacements.push(replacementIn(part, word, by));
    }
    return replacements.sort((a, b) => a.from - b.from);
  }

  #take(unit: string, at: number): void {
    if (this.#open?.kind === 'text') {
      if (this.#afterBackslash) this.#afterBackslash = false;
      else if (unit === '\\') this.#afterBackslash = true;
      else if (unit === '"') this.#close(at);
      return;
    }
    if (unit === '"') {
      this.#close(at);
      this.#begin('text', at + 1);
    } else if (BETWEEN.includes(unit)) {
      this.#close(at);
    } else {
      if (this.#open === undefined) this.#begin('scalar', at);
      this.#goOn(unit, at);
    }
  }

  #begin(kind: Kind, from: number): void {
    this.#open = { kind, from, to: from };
    this.#parts.push(this.#open);
    this.#written = '';
  }

  #goOn(unit: string, at: number): void {
    const open = this.#open;
    if (open?.kind !== 'scalar') return;
    if (this.#written === '') this.#isNumber = /[\d-]/.test(unit);
    // To be read at its end.
    if (!this.#isLong(open, at)) this.#written += unit;
    const goesOn = this.#isNumber
      ? IN_NUMBERS.includes(unit)
      : NAMES.some((name) => name.startsWith(this.#written));
    if (goesOn) return;
    if (this.#isLong(open, at)) {
      this.#close(at);
      this.#begin('foreign', at);
    } else open.kind = 'foreign';
  }

  #close(to: number): void {
    const open = this.#open;
    if (open === undefined) return;
    open.to = to;
    const isValue = this.#isLong(open, to) || NUMBER.test(this.#written) || NAMES.includes(this.#written);
    if (open.kind === 'scalar' && !isValue) open.kind = 'foreign';
    this.#open = undefined;
  }

  /** Of a scalar that goes up to `at`. No name is as long. */
  #isLong(scalar: Part, at: number): boolean {
    return at - scalar.from > LONG_NUMBER;
  }
}

/** A number has no characters to spare: a text takes its place, which no program takes for a number. */
function replacementIn({ kind, from, to }: Part, word: Span, by: string): Replacement {
  if (kind === 'scalar') return { from, to, by: JSON.stringify(by) };
  return { from: Math.max(from, word.from), to: Math.min(to, word.to), by };
}
