/** Values of any shape, and the characters and keys of JSON. */
import { ANY_CHARACTER, complement, jsonCharacter } from './code-points.js';
import { either, literal, optional, repeat, sequence, type Expression, type Rules } from './gbnf.js';

/** One space at most after `:` and `,`: what models write on one line. White space without end would be an answer too. */
export const COMMA = sequence(literal(','), optional(literal(' ')));
export const COLON = sequence(literal(':'), optional(literal(' ')));

/** Any JSON object: `response_format: {"type": "json_object"}`. */
export function anyObject(rules: Rules): Expression {
  anyValue(rules);
  return 'object';
}

export function anyValue(rules: Rules): Expression {
  return rules.named('value', () => {
    const text = quoted(repeat(anyCharacter(rules), 0));
    rules.named('string', () => text);
    rules.named('number', () => '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?');
    rules.named('object', () => `"{" (string ${COLON} value (${COMMA} string ${COLON} value)*)? "}"`);
    rules.named('array', () => `"[" (value (${COMMA} value)*)? "]"`);
    return 'object | array | string | number | "true" | "false" | "null"';
  });
}

/** A character as JSON writes it. `\u` is left out: whatever can be generated can be written as itself. */
export function anyCharacter(rules: Rules): Expression {
  return rules.named('char', () => jsonCharacter(ANY_CHARACTER) ?? '""');
}

export function quoted(inside: Expression): Expression {
  return sequence(literal('"'), inside, literal('"'));
}

/** A key that is none of `names`: at each character, either it leaves all of them, or it goes on along some. */
export function keyExcept(names: readonly string[], rules: Rules): Expression {
  if (names.length === 0) return quoted(repeat(anyCharacter(rules), 0));
  const rest = repeat(anyCharacter(rules), 0);
  const after = (prefix: string): Expression => {
    const following = [
      ...new Set(
        names
          .filter((name) => name.startsWith(prefix) && name !== prefix)
          .map((name) => [...name.slice(prefix.length)][0] ?? ''),
      ),
    ];
    const taken = following.map((char) => char.codePointAt(0) ?? 0);
    const leaves =
      jsonCharacter(complement([...taken, 0x22, 0x5c].map((point) => [point, point] as const))) ?? '""';
    const options = [
      sequence(leaves, rest),
      ...following
        .filter((char) => char !== '"' && char !== '\\')
        .map((char) => sequence(literal(char), rules.add(after(prefix + char)))),
    ];
    const ended = names.includes(prefix) ? [] : ['""'];
    return either(...options, ...ended);
  };
  return quoted(after(''));
}
