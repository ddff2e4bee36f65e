/** Sets of characters, as they are written inside a JSON string. */
import { classChar, either, literal, type Expression } from './gbnf.js';

/** Both ends included. */
export type Range = readonly [from: number, to: number];

const LAST = 0x10ffff;
/** What JSON has a short escape for. Other control characters are never generated. */
const ESCAPED: readonly (readonly [codePoint: number, written: string])[] = [
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x08, '\\b'],
  [0x09, '\\t'],
  [0x0a, '\\n'],
  [0x0c, '\\f'],
  [0x0d, '\\r'],
];
/** What stands in a JSON string as itself; surrogates are no characters. */
const PLAIN: readonly Range[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x7e],
  [0x80, 0xd7ff],
  [0xe000, LAST],
];

/** Everything that a JSON string can hold. */
export const ANY_CHARACTER: readonly Range[] = [[0, LAST]];

export function complement(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  let next = 0;
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (from > next) result.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next <= LAST) result.push([next, LAST]);
  return result;
}

/** One character of the set inside a JSON string. Undefined when the set holds none that can be written. */
export function jsonCharacter(ranges: readonly Range[]): Expression | undefined {
  const plain = ranges.flatMap(([from, to]) =>
    PLAIN.flatMap(([low, high]): Range[] =>
      Math.max(from, low) <= Math.min(to, high) ? [[Math.max(from, low), Math.min(to, high)]] : [],
    ),
  );
  const options: Expression[] = [];
  if (plain.length > 0) {
    const members = plain.map(([from, to]) =>
      from === to ? classChar(from) : `${classChar(from)}-${classChar(to)}`,
    );
    options.push(`[${members.join('')}]`);
  }
  for (const [codePoint, written] of ESCAPED) {
    if (ranges.some(([from, to]) => from <= codePoint && codePoint <= to)) options.push(literal(written));
  }
  return options.length === 0 ? undefined : either(...options);
}
