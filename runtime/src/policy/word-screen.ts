/** Looks for sensitive words in a text, whole or in pieces, and masks them or says that it must be blocked. */
import { Automaton } from './automaton.js';
import { Folder, JsonFolder, Kind, type TakeUnit } from './fold.js';
import { JsonParts, type Replacement, type Span } from './json-parts.js';
import { inSlices, slicesOf, Turn } from './slices.js';

/** What a masked word is replaced by: of one length, so that it does not tell the word's. */
export const MASK = '***';

export interface WordRule {
  /** For the log: the words themselves never stand there. */
  readonly name: string;
  readonly action: 'mask' | 'block';
  /** `word`: not inside a longer word, in scripts that put spaces between words. `part`: anywhere. */
  readonly match: 'word' | 'part';
  readonly words: readonly string[];
}

/** How a text is read: as it stands, or, of JSON, what its escapes mean. */
export type Writing = 'plain' | 'json';

export interface Screened {
  readonly text: string;
  /** How often each rule was hit, by its name. */
  readonly hits: ReadonlyMap<string, number>;
  /** The name of the rule that ends the text; `text` is what came before. */
  readonly blockedBy: string | undefined;
}

interface Pattern {
  readonly rule: WordRule;
  readonly length: number;
  /** The word's first or last character is a letter, so that no letter may stand beside it. */
  readonly closedBefore: boolean;
  readonly closedAfter: boolean;
}

interface Match extends Span {
  readonly pattern: Pattern;
}

/** Compiled rules. Immutable, shared by all requests. */
export class WordScreen {
  /** Of no rules. */
  static readonly EMPTY = new WordScreen([], new Automaton());

  private constructor(
    readonly patterns: readonly Pattern[],
    readonly automaton: Automaton,
    /** Some word begins with an accent, whatever it stands on. */
    readonly beginsWithMark = false,
  ) {}

  /** Thousands of words take tens of milliseconds, so others get their turn in between. */
  static compile(rules: readonly WordRule[]): Promise<WordScreen> {
    return inSlices(WordScreen.#compile(rules));
  }

  static *#compile(rules: readonly WordRule[]): Generator<undefined, WordScreen> {
    const patterns: Pattern[] = [];
    const codesOf: (readonly number[])[] = [];
    let beginsWithMark = false;
    for (const rule of rules) {
      for (const word of rule.words) {
        const { codes, kinds } = foldWord(word);
        codesOf.push(codes);
        beginsWithMark ||= kinds[0] === Kind.Mark;
        patterns.push({
          rule,
          length: codes.length,
          closedBefore: rule.match === 'word' && kinds[0] === Kind.Letter,
          closedAfter: rule.match === 'word' && kinds.findLast(isNoMark) === Kind.Letter,
        });
        yield;
      }
    }
    const closed = patterns.map(({ closedBefore }) => closedBefore);
    return new WordScreen(patterns, yield* Automaton.build(codesOf, closed), beginsWithMark);
  }

  get isEmpty(): boolean {
    return this.patterns.length === 0;
  }

  /** `turn`: of the request that the text is a part of. */
  async screen(text: string, turn = new Turn(), writing: Writing = 'plain'): Promise<Screened> {
    if (this.isEmpty) return { text, hits: new Map(), blockedBy: undefined };
    const stream = new WordStream(this, writing);
    let released = '';
    for (const slice of slicesOf(text)) {
      released += stream.push(slice);
      if (stream.blockedBy !== undefined) break;
      await turn.took(slice.length);
    }
    await turn.tookText(0);
    released += stream.end();
    return { text: released, hits: stream.hits, blockedBy: stream.blockedBy };
  }
}

/** One text in pieces. A piece is held back only while its end could be the beginning of a word. */
export class WordStream {
  readonly hits = new Map<string, number>();
  readonly #screen: WordScreen;
  readonly #folder: Folder | JsonFolder;
  readonly #parts: JsonParts | undefined;
  #state = 0;
  /** Of the original text, what has not been released; begins at `#heldFrom`. */
  #held = '';
  #heldFrom = 0;
  /** Of the folded text, the units since the last release, and where each comes from. */
  #starts: number[] = [];
  #kinds: Kind[] = [];
  /** The kind of the unit before those. */
  #kindBefore = Kind.Other;
  /** Matches that stand or fall with the next unit. */
  #undecided: Match[] = [];
  #accepted: Span[] = [];
  #blocked: { readonly rule: string; readonly from: number } | undefined;
  /** Places in the text that were marked, and are held back. */
  #marked: number[] = [];
  #passed: number[] = [];

  constructor(screen: WordScreen, writing: Writing = 'plain') {
    this.#screen = screen;
    const take: TakeUnit = (code, kind, from, to) => this.#take(code, kind, from, to);
    const isJson = writing === 'json';
    this.#folder = isJson ? new JsonFolder(take) : new Folder(take);
    this.#parts = isJson ? new JsonParts() : undefined;
  }

  /** The rule that ends this text. Nothing is released after that. */
  get blockedBy(): string | undefined {
    return this.#blocked?.rule;
  }

  /** Takes a piece, returns what can be let through now. */
  push(text: string): string {
    if (this.#blocked !== undefined) return '';
    this.#held += text;
    this.#folder.fold(text);
    this.#parts?.read(text);
    this.#forgetSpare();
    return this.#release(this.#safeEnd());
  }

  /** Marks the place up to which the text has come. False where nothing before it is held back. */
  mark(): boolean {
    if (this.#held === '') return false;
    this.#marked.push(this.#textEnd);
    return true;
  }

  /** Where, in what was let through last, the marked places are that are no more held back. Of those in a mask, behind it. */
  get passed(): readonly number[] {
    return this.#passed;
  }

  /** The text has ended: returns what was still held back. Another may come. */
  end(): string {
    this.#folder.end();
    this.#parts?.end();
    if (this.#blocked !== undefined) return '';
    for (const match of this.#undecided.splice(0)) this.#accept(match, this.#textEnd);
    this.#state = 0;
    const rest = this.#release(this.#safeEnd());
    this.#kindBefore = Kind.Other;
    return rest;
  }

  #take(code: number, kind: Kind, from: number, to: number): void {
    if (this.#blocked !== undefined) return;
    if (this.#undecided.length > 0) this.#decide(kind, from);
    this.#starts.push(from);
    // Whether a letter has an accent or, in Thai or Japanese, a mark: it is what it is.
    this.#kinds.push(isNoMark(kind) ? kind : (this.#kinds.at(-1) ?? this.#kindBefore));
    const { automaton, patterns } = this.#screen;
    this.#state = automaton.step(this.#state, code);
    if (!automaton.hasEnds(this.#state)) return;
    for (const index of automaton.endsAt(this.#state)) {
      const pattern = patterns[index];
      if (pattern === undefined) continue;
      if (pattern.closedBefore && this.#isInsideWord(pattern.length)) continue;
      const first = this.#starts[this.#starts.length - pattern.length] ?? this.#heldFrom;
      this.#undecided.push({ from: first, to, pattern });
    }
  }

  #decide(next: Kind, nextFrom: number): void {
    for (const match of this.#undecided.splice(0)) {
      // An accent makes another letter of the last one.
      const goesOn = next === Kind.Mark || (match.pattern.closedAfter && next === Kind.Letter);
      if (!goesOn) this.#accept(match, nextFrom);
    }
  }

  /**
   * Whether a letter stands before the last `units` units. Where those began in what was let out, it does: else they
   * would have been held back, as a word could have begun there.
   */
  readonly #isInsideWord = (units: number): boolean =>
    units > this.#kinds.length ||
    (this.#kinds[this.#kinds.length - units - 1] ?? this.#kindBefore) === Kind.Letter;

  /** `next`: where the next visible character begins. What is invisible before it goes with the word. */
  #accept({ from, to: end, pattern }: Match, next: number): void {
    const to = Math.max(end, next);
    const { name, action } = pattern.rule;
    if (this.#blocked !== undefined) return;
    this.hits.set(name, (this.hits.get(name) ?? 0) + 1);
    if (action === 'block') this.#blocked = { rule: name, from };
    else this.#accepted.push({ from, to });
  }

  /** Up to where no word can begin that is not known to be one. */
  #safeEnd(): number {
    const { automaton } = this.#screen;
    const pending = automaton.pendingUnits(this.#state, (units) => !this.#isInsideWord(units));
    const candidates = this.#undecided.map((match) => match.from);
    if (this.#blocked !== undefined) candidates.push(this.#blocked.from);
    if (pending > 0) candidates.push(this.#starts[this.#starts.length - pending] ?? this.#heldFrom);
    return Math.min(this.#folder.foldedTo(this.#screen.beginsWithMark), ...candidates);
  }

  get #textEnd(): number {
    return this.#heldFrom + this.#held.length;
  }

  #release(safeEnd: number): string {
    this.#passed = [];
    const end = this.#cut(safeEnd);
    if (end <= this.#heldFrom) return '';

    let text = '';
    let at = this.#heldFrom;
    const copy = (to: number) => {
      for (let [mark] = this.#marked; mark !== undefined && mark <= to; [mark] = this.#marked) {
        this.#passed.push(text.length + Math.max(0, mark - at));
        this.#marked.shift();
      }
      text += this.#held.slice(at - this.#heldFrom, to - this.#heldFrom);
    };
    const inside = this.#accepted.filter(({ from }) => from < end).sort((a, b) => a.from - b.from);
    for (const { from, to, by } of this.#replacements(inside)) {
      // Words that overlap are one mask.
      if (from >= at) {
        copy(from);
        text += by;
      }
      at = Math.max(at, to);
    }
    copy(end);

    this.#accepted = this.#accepted.filter(({ from }) => from >= end);
    this.#held = this.#held.slice(end - this.#heldFrom);
    this.#heldFrom = end;
    const kept = this.#starts.findIndex((start) => start >= end);
    const dropped = kept === -1 ? this.#starts.length : kept;
    this.#kindBefore = this.#kinds[dropped - 1] ?? this.#kindBefore;
    this.#starts.splice(0, dropped);
    this.#kinds.splice(0, dropped);
    this.#parts?.forget(end);
    return text;
  }

  /** Of the words in a long number, one is enough. */
  #forgetSpare(): void {
    const number = this.#parts?.longNumberFrom;
    if (number === undefined) return;
    const one = this.#accepted.find(({ from }) => from >= number);
    this.#accepted = this.#accepted.filter((word) => word.from < number || word === one);
  }

  #replacements(words: readonly Span[]): readonly Replacement[] {
    return this.#parts?.mask(words, MASK) ?? words.map((word) => ({ ...word, by: MASK }));
  }

  /** Never through the middle of a masked word: of several that overlap, before the first. */
  #cut(end: number): number {
    while (end > this.#heldFrom) {
      const whole = this.#parts?.whole(end) ?? end;
      if (whole <= this.#heldFrom) return whole;
      const around = this.#accepted.find(({ from, to }) => from < whole && whole < to);
      if (around === undefined) return whole;
      end = around.from;
    }
    return end;
  }
}

function isNoMark(kind: Kind): boolean {
  return kind !== Kind.Mark;
}

/** A word in the form in which it is compared. */
export function foldWord(word: string): {
  readonly codes: readonly number[];
  readonly kinds: readonly Kind[];
} {
  const codes: number[] = [];
  const kinds: Kind[] = [];
  const folder = new Folder((code, kind) => {
    codes.push(code);
    kinds.push(kind);
  });
  folder.fold(word.trim());
  folder.end();
  return { codes, kinds };
}
