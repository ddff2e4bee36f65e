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

const INVISIBLE = /\p{Default_Ignorable_Code_Point}/u;
const VISIBLE = /[^\p{Default_Ignorable_Code_Point}\s]/u;
const MARK = /^\p{M}$/u;
const SPACE = /^\s$/u;
const LETTER = /^[\p{L}\p{N}_]$/u;
/** With what several of them use, such as the long vowel of both kana: for the others that is too much. */
const WITHOUT_SPACES =
  /^[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u;

/** No character below is an accent. */
const FIRST_MARK = 0x300;
/** Bounds the memory of the table; a text that uses more characters is folded without it. */
const TABLE_SIZE = 20_000;
const table = new Map<string, Folded>();

/** Whether something is left of it that could be looked for. */
export function isVisible(word: string): boolean {
  return VISIBLE.test(word);
}

/** Folds a piece of a text. One folder for each text, as a run of spaces may go on in the next piece. */
export function createFolder(take: TakeUnit) {
  let afterSpace = false;
  let at = 0;
  return function fold(text: string): void {
    for (let from = 0; from < text.length;) {
      const short = shortFold(text.charCodeAt(from));
      if (short >= 0 && !mayBeMark(text.charCodeAt(from + 1))) {
        const code = short & 0xffff;
        if (code !== 0x20 || !afterSpace) take(code, short >> 16, at + from, at + from + 1);
        afterSpace = code === 0x20;
        from++;
        continue;
      }
      const to = clusterEnd(text, from);
      const { codes, kinds } = foldCluster(text.slice(from, to));
      for (let index = 0; index < codes.length; index++) {
        const code = codes[index] ?? 0;
        const isSpace = code === 0x20;
        if (!isSpace || !afterSpace) take(code, kinds[index] ?? Kind.Other, at + from, at + to);
        afterSpace = isSpace;
      }
      from = to;
    }
    at += text.length;
  };
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
  readonly #fold: (text: string) => void;
  /** Of this piece's units, where each was written, and where the last one ends. */
  #places: number[] = [];
  #firstUnit = 0;
  #at = 0;
  #pending = '';

  constructor(take: TakeUnit) {
    const placeOf = (unit: number) => this.#places[unit - this.#firstUnit] ?? this.#at;
    this.#fold = createFolder((code, kind, from, to) => take(code, kind, placeOf(from), placeOf(to)));
  }

  /** Length of what was read last and may be the beginning of an escape, or half of a pair. */
  get undecided(): number {
    return this.#pending.length;
  }

  fold(text: string): void {
    this.#read(this.#pending + text, false);
  }

  /** The text has ended: what could have been the beginning of an escape is none. */
  end(): void {
    this.#read(this.#pending, true);
  }

  #read(text: string, isLast: boolean): void {
    let meant = '';
    this.#places = [];
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
    this.#fold(meant);
    this.#firstUnit += meant.length;
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
  const { codes, kinds } = isSurrogate ? NOTHING : foldCluster(String.fromCharCode(code));
  const [only] = codes;
  const found = codes.length === 1 && only !== undefined ? only | ((kinds[0] ?? Kind.Other) << 16) : LONG;
  shortFolds[code] = found;
  return found;
}

const NOTHING: Folded = { codes: [], kinds: [] };

/** Whether the character with this code could be an accent; NaN is the end of the text. */
function mayBeMark(code: number): boolean {
  if (!(code >= FIRST_MARK)) return false;
  const short = shortFold(code);
  return short < 0 || short >> 16 === (Kind.Mark as number);
}

/** A character and the accents that follow it, so that they are in canonical order, however they were typed. */
function clusterEnd(text: string, from: number): number {
  let end = from + widthAt(text, from);
  while (end < text.length && text.charCodeAt(end) >= FIRST_MARK) {
    const width = widthAt(text, end);
    if (!MARK.test(text.slice(end, end + width))) break;
    end += width;
  }
  return end;
}

function widthAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}

function foldCluster(cluster: string): Folded {
  const known = table.get(cluster);
  if (known !== undefined) return known;
  const codes: number[] = [];
  const kinds: Kind[] = [];
  // Upper case first: ß becomes SS, and both forms of the Greek sigma one.
  const folded = cluster.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
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
  if (table.size < TABLE_SIZE) table.set(cluster, result);
  return result;
}

function kindOf(character: string): Kind {
  if (MARK.test(character)) return Kind.Mark;
  return LETTER.test(character) && !WITHOUT_SPACES.test(character) ? Kind.Letter : Kind.Other;
}
