import { z } from '../../../runtime/node_modules/zod';
import { keysAt } from '../../../runtime/src/errors/known-keys';

const inner = z.strictObject({ a: z.string(), b: z.string().optional() });
const schema = z
  .strictObject({
    list: z.array(inner).default([]),
    maybe: inner.nullish(),
    named: z.record(z.string(), inner),
    either: z.union([z.string(), inner, z.strictObject({ c: z.string(), a: z.number() })]),
    made: z.preprocess((value) => value, inner),
    text: z.string(),
  })
  .superRefine(() => undefined);

test.each([
  [[], ['list', 'maybe', 'named', 'either', 'made', 'text']],
  [
    ['list', 3],
    ['a', 'b'],
  ],
  [['maybe'], ['a', 'b']],
  [
    ['named', 'anyone'],
    ['a', 'b'],
  ],
  [['either'], ['a', 'b', 'c']],
  [['made'], ['a', 'b']],
  [['text'], []],
  [['list', 3, 'a', 'further'], []],
  [['toString'], []],
])('the keys at %j', (path, keys) => {
  expect(keysAt(schema, path)).toEqual(keys);
});
