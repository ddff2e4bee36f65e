/** Regular expressions of JSON schemas (`pattern`), as expressions for the inside of a JSON string. */
import { ANY_CHARACTER, complement, jsonCharacter, type Range } from './code-points.js';
import { either, repeat, sequence, type Expression } from './gbnf.js';

/** The rest of a sentence that begins with the pattern's place. */
export class PatternError extends Error {}

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORD: readonly Range[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: readonly Range[] = [
  [0x09, 0x0a],
  [0x0c, 0x0d],
  [0x20, 0x20],
];
const NEWLINE: readonly Range[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
];
const CONTROLS: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c };
const MOST_REPETITIONS = 1000;

/** @throws PatternError for what a grammar cannot say (look-around, back-references) or what is no pattern at all. */
export function patternExpression(pattern: string): Expression {
  return new PatternParser(pattern).parse();
}

class PatternParser {
  readonly #chars: readonly string[];
  #at = 0;

  constructor(pattern: string) {
    this.#chars = [...pattern];
  }

  parse(): Expression {
    const options = [this.#anchored()];
    while (this.#take('|')) options.push(this.#anchored());
    if (this.#at < this.#chars.length) throw new PatternError('has a `)` without a `(`');
    return either(...options);
  }

  /** Without `^` and `$`, a pattern may match anywhere in the text. */
  #anchored(): Expression {
    const anything = repeat(character(ANY_CHARACTER), 0);
    const start = this.#take('^') ? '' : anything;
    const body = this.#alternative();
    const end = this.#take('$') ? '' : anything;
    return sequence(start, body, end);
  }

  #alternative(): Expression {
    const parts: Expression[] = [];
    for (;;) {
      const char = this.#chars[this.#at];
      if (char === undefined || char === '|' || char === ')' || char === '$') return sequence(...parts);
      parts.push(this.#quantified(this.#atom()));
    }
  }

  #atom(): Expression {
    const char = this.#next();
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return character(this.#class());
      case '.':
        return character(complement(NEWLINE));
      case '\\':
        return character(this.#escape());
      case '^':
        throw new PatternError('has a `^` that is not at its beginning');
      case '*':
      case '+':
      case '?':
        throw new PatternError(`has a \`${char}\` with nothing before it`);
      default:
        return character(single(char));
    }
  }

  #group(): Expression {
    if (this.#take('?')) {
      if (this.#take('<')) {
        if (['=', '!'].includes(this.#chars[this.#at] ?? ''))
          throw new PatternError('looks behind, which a grammar cannot');
        while (!this.#take('>')) this.#next();
      } else if (!this.#take(':')) {
        throw new PatternError('looks ahead, which a grammar cannot');
      }
    }
    const options = [this.#alternative()];
    while (this.#take('|')) options.push(this.#alternative());
    if (this.#take('$')) throw new PatternError('has a `$` that is not at its end');
    if (!this.#take(')')) throw new PatternError('has a `(` without a `)`');
    return `(${either(...options)})`;
  }

  #quantified(part: Expression): Expression {
    let result: Expression;
    if (this.#take('*')) result = repeat(part, 0);
    else if (this.#take('+')) result = repeat(part, 1);
    else if (this.#take('?')) result = repeat(part, 0, 1);
    else if (this.#take('{')) result = this.#counted(part);
    else return part;
    // Lazy and greedy match the same texts.
    this.#take('?');
    return result;
  }

  #counted(part: Expression): Expression {
    let text = '';
    while (!this.#take('}')) text += this.#next();
    const match = /^(\d+)(,(\d*))?$/.exec(text);
    if (match === null) throw new PatternError(`has {${text}}, which is not a number of repetitions`);
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === '' ? undefined : Number(match[3]);
    if ((max ?? min) > MOST_REPETITIONS || (max !== undefined && max < min)) {
      throw new PatternError(`has {${text}}; repetitions go from 0 to ${MOST_REPETITIONS}`);
    }
    return repeat(part, min, max);
  }

  #class(): readonly Range[] {
    const negated = this.#take('^');
    const ranges: Range[] = [];
    while (!this.#take(']')) {
      const from = this.#classMember();
      const first = from.length === 1 ? from[0] : undefined;
      if (first?.[0] === first?.[1] && this.#chars[this.#at] === '-' && this.#chars[this.#at + 1] !== ']') {
        this.#next();
        const to = this.#classMember()[0];
        if (first === undefined || to === undefined || to[0] !== to[1] || to[0] < first[0]) {
          throw new PatternError('has a range of characters that is none');
        }
        ranges.push([first[0], to[0]]);
      } else {
        ranges.push(...from);
      }
    }
    return negated ? complement(ranges) : ranges;
  }

  #classMember(): readonly Range[] {
    const char = this.#next();
    return char === '\\' ? this.#escape() : single(char);
  }

  #escape(): readonly Range[] {
    const char = this.#next();
    switch (char) {
      case 'd':
        return DIGITS;
      case 'D':
        return complement(DIGITS);
      case 'w':
        return WORD;
      case 'W':
        return complement(WORD);
      case 's':
        return SPACE;
      case 'S':
        return complement(SPACE);
      case 'x':
        return this.#hex(2);
      case 'u':
        return this.#hex(4);
    }
    const control = CONTROLS[char];
    if (control !== undefined) return [[control, control]];
    if (/[A-Za-z0-9]/.test(char)) throw new PatternError(`has \`\\${char}\`, which a grammar cannot say`);
    return single(char);
  }

  #hex(digits: number): readonly Range[] {
    const text = this.#chars.slice(this.#at, this.#at + digits).join('');
    if (!/^[0-9a-f]+$/i.test(text) || text.length < digits) throw new PatternError('has a broken \\x or \\u');
    this.#at += digits;
    const codePoint = parseInt(text, 16);
    return [[codePoint, codePoint]];
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const char = this.#chars[this.#at];
    if (char === undefined) throw new PatternError('ends too early');
    this.#at++;
    return char;
  }
}

function single(char: string): readonly Range[] {
  const codePoint = char.codePointAt(0) ?? 0;
  return [[codePoint, codePoint]];
}

function character(ranges: readonly Range[]): Expression {
  const expression = jsonCharacter(ranges);
  if (expression === undefined) throw new PatternError('has a set of characters that no text can hold');
  return expression;
}
