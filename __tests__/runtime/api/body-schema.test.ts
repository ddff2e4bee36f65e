import { bodySchema } from '../../../runtime/src/api/body-schema';

import { completionBody } from '../../../runtime/src/api/completion';
import { chatBody } from '../../../runtime/src/api/chat-schema';
import { embeddingsBody } from '../../../runtime/src/api/embeddings';
import { responseBody } from '../../../runtime/src/api/response-schema';

const RULES = { models: ['a', 'b'], modelRequired: true, contextSize: 100 };

test('a schema is made once for each set of rules', () => {
  let made = 0;
  const schemaOf = bodySchema((rules) => ({ number: ++made, rules }));
  const first = schemaOf(RULES);
  expect(schemaOf({ ...RULES, models: ['a', 'b'] })).toBe(first);
  for (const other of [{ models: ['a'] }, { modelRequired: false }, { contextSize: 101 }]) {
    expect(schemaOf({ ...RULES, ...other }).rules).toMatchObject(other);
  }
  expect(made).toBe(4);
});

test('models that come and go leave nothing behind', () => {
  let made = 0;
  const schemaOf = bodySchema(() => ++made);
  for (let time = 0; time < 1000; time++) schemaOf({ ...RULES, models: [String(time)] });
  expect(schemaOf(RULES)).toBe(1001);
  expect(schemaOf(RULES)).toBe(1001);
});

test.each([
  ['chat', chatBody],
  ['completions', completionBody],
  ['responses', responseBody],
  ['embeddings', embeddingsBody],
])('the body of %s is one of them', (_route, body) => {
  expect(body({ ...RULES, models: ['a', 'b'] })).toBe(body(RULES));
});
