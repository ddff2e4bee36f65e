/** Building blocks of GBNF, llama.cpp's notation for grammars. An expression is a text that can stand in a rule. */

export type Expression = string;

/** Longest chain that one `{m,n}` may unfold to: llama.cpp refuses more than 2,000. */
const MOST_REPETITIONS = 1000;

/** Exactly this text. */
export function literal(text: string): Expression {
  const escaped = text.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is escaped
    /["\\\x00-\x1f\x7f]/g,
    (char) => ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${escaped}"`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** One code point inside `[…]`. */
export function classChar(codePoint: number): string {
  if (codePoint >= 0x30 && codePoint <= 0x39) return String.fromCharCode(codePoint);
  if (codePoint >= 0x41 && codePoint <= 0x5a) return String.fromCharCode(codePoint);
  if (codePoint >= 0x61 && codePoint <= 0x7a) return String.fromCharCode(codePoint);
  if (codePoint <= 0xff) return `\\x${codePoint.toString(16).padStart(2, '0')}`;
  if (codePoint <= 0xffff) return `\\u${codePoint.toString(16).padStart(4, '0')}`;
  return `\\U${codePoint.toString(16).padStart(8, '0')}`;
}

export function sequence(...parts: readonly Expression[]): Expression {
  return parts.filter((part) => part !== '' && part !== '""').join(' ') || '""';
}

/** One of them; duplicates are dropped. */
export function either(...options: readonly Expression[]): Expression {
  const unique = [...new Set(options)];
  const [only] = unique;
  if (unique.length === 1 && only !== undefined) return only;
  return `(${unique.join(' | ')})`;
}

export function optional(part: Expression): Expression {
  return `(${part})?`;
}

/** `part` between `min` and `max` times; without `max`, any number of times. */
export function repeat(part: Expression, min: number, max?: number): Expression {
  if (max === 0) return '""';
  const unit = `(${part})`;
  if (max === undefined) {
    if (min <= 1) return `${unit}${min === 0 ? '*' : '+'}`;
    return sequence(repeat(part, min, min), `${unit}*`);
  }
  if (min === 1 && max === 1) return part;
  if (max <= MOST_REPETITIONS) return `${unit}{${min === max ? min : `${min},${max}`}}`;
  if (min >= MOST_REPETITIONS) {
    return sequence(
      repeat(part, MOST_REPETITIONS, MOST_REPETITIONS),
      repeat(part, min - MOST_REPETITIONS, max - MOST_REPETITIONS),
    );
  }
  // A full block and the rest, or less than a block: never two ways to read the same text.
  return either(
    repeat(part, min, MOST_REPETITIONS - 1),
    sequence(repeat(part, MOST_REPETITIONS, MOST_REPETITIONS), repeat(part, 0, max - MOST_REPETITIONS)),
  );
}

/** A grammar this large would slow down every token. */
const MOST_RULES = 5000;

export class GrammarTooLarge extends Error {}

/** Named rules, added once each; a rule may refer to itself. Every method that adds one may throw GrammarTooLarge. */
export class Rules {
  readonly #rules = new Map<string, Expression>();
  #made = 0;

  /** A rule of that name, with a body made only the first time it is asked for. */
  named(name: string, body: () => Expression): Expression {
    if (!this.#rules.has(name)) {
      this.#rules.set(name, '""');
      this.#rules.set(name, body());
    }
    return name;
  }

  /** A rule with a name of its own: keeps long expressions from being written out wherever they are used. */
  add(body: Expression): Expression {
    const name = this.#newName();
    this.#rules.set(name, body);
    return name;
  }

  /** Reserves a name, for rules that refer to themselves. */
  reserve(): { readonly name: string; set(body: Expression): void } {
    const name = this.#newName();
    this.#rules.set(name, '""');
    return { name, set: (body) => void this.#rules.set(name, body) };
  }

  /** The whole grammar, which matches `root`. */
  toText(root: Expression): string {
    return (
      [`root ::= ${root}`, ...[...this.#rules].map(([name, body]) => `${name} ::= ${body}`)].join('\n') + '\n'
    );
  }

  #newName(): string {
    if (++this.#made > MOST_RULES) throw new GrammarTooLarge();
    return `r${this.#made}`;
  }
}
