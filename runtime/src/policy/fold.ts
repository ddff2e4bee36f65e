/**
 * Brings text into the form in which words are compared: compatibility decomposition (so that full-width letters,
 * ligatures and both spellings of an accent are the same), no case, no invisible characters, any run of white space as
 * one space. Equal here means equal under NFKC and case folding; decomposed, because then no piece of a stream has to
 * wait for an accent that might follow.
 */

/** What a code unit is, for the question whether a word begins or ends here. */
export enum Kind {
  /** Punctuation, space, and letters of scripts that put no spaces between words. */
  Other,
  /** A letter or digit of a script that does. */
  Letter,
  /** An accent: belongs to what comes before it. */
  Mark,
}

/** Takes one UTF-16 unit of the folded text, and where it comes from: `from` to `to` in the text as it was. */
export type TakeUnit = (code: number, kind: Kind, from: number, to: number) => void;

interface Folded {
  readonly codes: readonly number[];
  readonly kinds: readonly Kind[];
}

/** A character, folded, and its accents. */
interface Parts {
  readonly base: Folded | undefined;
  readonly marks: string;
}

const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
const VISIBLE = /[^\p{Default_Ignorable_Code_Point}\s]/u;
const MARK = /^\p{M}$/u;
const SPACE = /^\s$/u;
const LETTER = /^[\p{L}\p{N}_]$/u;
/** With what several of them use, such as the long vowel of both kana: for the others that is too much. */
const WITHOUT_SPACES =
  /^[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u;

/** The one accent that is a letter without case. */
const IOTA_BELOW = '\u0345';
const MARKS_AT_END = /\p{M}+$/u;
/** No language needs as many on one character; to put very many in order takes the square of the time. */
const MOST_MARKS = 30;
/** Bounds the memory of the tables; a text that uses more characters is folded without them. */
const TABLE_SIZE = 20_000;
const table = new Map<string, Folded>();
const partsTable = new Map<string, Parts>();

/** Whether something is left of it that could be looked for. */
export function isVisible(word: string): boolean {
  return VISIBLE.test(word);
}

/**
 * Folds a text in pieces, the same wherever it is cut. The accents after a character wait for the next one: more of them
 * may come, and together they have an order of their own, however they were typed.
 */
export class Folder {
  readonly #take: TakeUnit;
  #afterSpace = false;
  #at = 0;
  #marks = '';
  /** Where those begin: after their character, also where they are a part of it. */
  #marksFrom = 0;
  #marksTo = 0;

  constructor(take: TakeUnit) {
    this.#take = take;
  }

  /** Up to where no word can begin any more but with the units that were taken. `marks`: words may begin with accents. */
  foldedTo(marks: boolean): number {
    const mayBegin = this.#marks !== '' && (marks || this.#marks.includes(IOTA_BELOW));
    return mayBegin ? this.#marksFrom : this.#at;
  }

  /** Where accents wait; else how far it has read. */
  get waitingFrom(): number {
    return this.#marks === '' ? this.#at : this.#marksFrom;
  }

  fold(text: string): void {
    for (let from = 0; from < text.length;) {
      const short = shortFold(text.charCodeAt(from));
      if (short < 0 || short >> 16 === (Kind.Mark as number)) {
        from = this.#foldLong(text, from);
        continue;
      }
      if (this.#marks !== '') this.#endMarks();
      const code = short & 0xffff;
      if (code !== 0x20 || !this.#afterSpace)
        this.#take(code, short >> 16, this.#at + from, this.#at + from + 1);
      this.#afterSpace = code === 0x20;
      from++;
    }
    this.#at += text.length;
  }

  /** The text has ended, so no accent follows. */
  end(): void {
    this.#endMarks();
  }

  /** A character that does not simply fold to one unit, or an accent. Returns where it ends. */
  #foldLong(text: string, from: number): number {
    const to = from + widthAt(text, from);
    const { base, marks } = partsOf(text.slice(from, to));
    if (base !== undefined) {
      this.#endMarks();
      this.#takeAll(base, this.#at + from, this.#at + to);
    }
    if (marks !== '') this.#addMarks(marks, this.#at + (base === undefined ? from : to), this.#at + to);
    return to;
  }

  #addMarks(marks: string, from: number, to: number): void {
    if (this.#marks === '') this.#marksFrom = from;
    this.#marks += marks;
    this.#marksTo = to;
    if (this.#marks.length >= MOST_MARKS) this.#endMarks();
  }

  #endMarks(): void {
    const marks = this.#marks;
    if (marks === '') return;
    this.#marks = '';
    this.#takeAll(foldAll(marks), this.#marksFrom, this.#marksTo);
  }

  #takeAll({ codes, kinds }: Folded, from: number, to: number): void {
    for (let index = 0; index < codes.length; index++) {
      const code = codes[index] ?? 0;
      const isSpace = code === 0x20;
      if (!isSpace || !this.#afterSpace) this.#take(code, kinds[index] ?? Kind.Other, from, to);
      this.#afterSpace = isSpace;
    }
  }
}

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|([^u]))/y;
const CUT_ESCAPE = /^\\(?:u[0-9a-fA-F]{0,3})?$/;
const ESCAPED: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  '\\': '\\',
  '/': '/',
};

/**
 * The same for JSON: an escape is the character that it means, at the place where it is written. Escapes stand in its
 * strings only, so nothing here has to know where those begin and end.
 */
export class JsonFolder {
  readonly #folder: Folder;
  /** Of this piece's units, and of accents that wait, where each was written, and where the last one ends. */
  #places: number[] = [0];
  #firstUnit = 0;
  #at = 0;
  #pending = '';

  constructor(take: TakeUnit) {
    this.#folder = new Folder((code, kind, from, to) =>
      take(code, kind, this.#placeOf(from), this.#placeOf(to)),
    );
  }

  /** As of a Folder. What may be the beginning of an escape, or half of a pair, is not taken. */
  foldedTo(marks: boolean): number {
    return this.#placeOf(this.#folder.foldedTo(marks));
  }

  fold(text: string): void {
    this.#read(this.#pending + text, false);
  }

  /** The text has ended: what could have been the beginning of an escape is none. */
  end(): void {
    this.#read(this.#pending, true);
    this.#folder.end();
  }

  #placeOf(unit: number): number {
    return this.#places[unit - this.#firstUnit] ?? this.#at;
  }

  #read(text: string, isLast: boolean): void {
    let meant = '';
    this.#places.pop();
    let from = 0;
    while (from < text.length) {
      let unit = text.charAt(from);
      let to = from + 1;
      if (unit === '\\') {
        if (!isLast && CUT_ESCAPE.test(text.slice(from, from + 6))) break;
        ESCAPE.lastIndex = from;
        const [written = unit, hex, short = ''] = ESCAPE.exec(text) ?? [];
        const escaped = hex === undefined ? ESCAPED[short] : String.fromCharCode(Number.parseInt(hex, 16));
        if (escaped !== undefined) to = from + written.length;
        unit = escaped ?? unit;
      }
      // The other half may be written in either way.
      if (!isLast && unit >= '\uD800' && unit <= '\uDBFF') {
        const rest = text.slice(to, to + 6);
        if (rest === '' || CUT_ESCAPE.test(rest)) break;
      }
      this.#places.push(this.#at + from);
      meant += unit;
      from = to;
    }
    this.#pending = text.slice(from);
    this.#at += from;
    this.#places.push(this.#at);
    this.#folder.fold(meant);
    const past = this.#folder.waitingFrom - this.#firstUnit;
    this.#places.splice(0, past);
    this.#firstUnit += past;
  }
}

/**
 * Nearly all characters fold to one unit: that and its kind (above 16 bits), by the character's code, filled as they
 * come up. Others (surrogates, those that vanish or become several) are LONG.
 */
const shortFolds = new Int32Array(0x10000).fill(-1);
const LONG = -2;

function shortFold(code: number): number {
  const known = shortFolds[code] ?? LONG;
  if (known !== -1) return known;
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  const { codes, kinds } = isSurrogate ? NOTHING : foldAll(String.fromCharCode(code));
  const [only] = codes;
  const found = codes.length === 1 && only !== undefined ? only | ((kinds[0] ?? Kind.Other) << 16) : LONG;
  shortFolds[code] = found;
  return found;
}

const NOTHING: Folded = { codes: [], kinds: [] };

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

/** Of an accent, the base is undefined. */
function partsOf(character: string): Parts {
  const known = partsTable.get(character);
  if (known !== undefined) return known;
  const decomposed = character.normalize('NFKD');
  const [marks = ''] = MARKS_AT_END.exec(decomposed) ?? [];
  const base = decomposed.slice(0, decomposed.length - marks.length);
  const parts = { base: base === '' ? undefined : foldAll(base), marks };
  if (partsTable.size < TABLE_SIZE) partsTable.set(character, parts);
  return parts;
}

/** Of a character without accents, or of accents. */
function foldAll(characters: string): Folded {
  const known = table.get(characters);
  if (known !== undefined) return known;
  const codes: number[] = [];
  const kinds: Kind[] = [];
  // Upper case first: ß becomes SS, and both forms of the Greek sigma one.
  const folded = characters.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
  for (const character of folded) {
    if (INVISIBLE.test(character)) continue;
    const kind = kindOf(character);
    for (const unit of SPACE.test(character) ? ' ' : character.split('')) {
      // The final sigma again, which lower case makes of a lone one.
      codes.push(unit === 'ς' ? 'σ'.charCodeAt(0) : unit.charCodeAt(0));
      kinds.push(kind);
    }
  }
  const result = { codes, kinds };
  if (table.size < TABLE_SIZE) table.set(characters, result);
  return result;
}

function kindOf(character: string): Kind {
  if (MARK.test(character)) return Kind.Mark;
  return LETTER.test(character) && !WITHOUT_SPACES.test(character) ? Kind.Letter : Kind.Other;
}
