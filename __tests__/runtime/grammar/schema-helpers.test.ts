/** Schemas as the clients' own helpers make them: what zod's `z.int()` and its kin become in a request. */
import { zodResponseFormat } from 'openai/helpers/zod';
import { z, type ZodType } from 'zod';
import { SchemaGrammar } from '../../../runtime/src/grammar/schema-grammar';
import { matchesOf } from '../support/grammar-checker';

/** The schema of one value: the helper takes objects only. */
function schemaOf(type: ZodType): unknown {
  const { schema } = zodResponseFormat(z.object({ it: type }), 'answer').json_schema;
  return schema;
}

/** Of each type: values that its grammar lets through, and others that it does not. */
const CASES: readonly [
  what: string,
  type: ZodType,
  valid: readonly unknown[],
  invalid: readonly unknown[],
][] = [
  ['any integer', z.int(), [0, -7, 999_999_999_999_999], [1.5, '1', Number.MAX_SAFE_INTEGER + 1]],
  ['a positive integer', z.number().int().positive(), [1, 12], [0, -1]],
  ['an integer or null', z.int().nullable(), [3, null], [0.5]],
  ['large integers', z.int().min(1e15), [1e15], [1e15 - 1, Number.MAX_SAFE_INTEGER + 1]],
  ['any float', z.float32(), [0.5, -3e3], ['x']],
];

test("what zod's helpers write is accepted, and its answers are what zod accepts", () => {
  const questions = CASES.map(([, type, valid, invalid]) => {
    const grammar = new SchemaGrammar(schemaOf(type));
    return {
      grammar: grammar.rules.toText(grammar.expression()),
      texts: [...valid, ...invalid].map((it) => JSON.stringify({ it })),
    };
  });
  const answers = matchesOf(questions);
  const wrong = CASES.flatMap(([what, type, valid, invalid], index) => {
    const answer = answers[index] ?? 'no answer';
    if (typeof answer === 'string') return [`${what}: ${answer}`];
    return [...valid, ...invalid].flatMap((it, at) => {
      const problems: string[] = [];
      if (answer[at] !== at < valid.length) problems.push(`${what}: ${JSON.stringify(it)} is ${answer[at]}`);
      if (answer[at] === true && !type.safeParse(it).success)
        problems.push(`${what}: zod refuses ${JSON.stringify(it)}`);
      return problems;
    });
  });
  expect(wrong).toEqual([]);
});
