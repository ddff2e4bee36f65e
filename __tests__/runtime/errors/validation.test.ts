import { z } from 'zod';

import { explainIssues } from '../../../runtime/src/errors/validation';
import { processorMs } from '../../support/processor-time';

const schema = z.strictObject({ list: z.array(z.string({ error: 'a text' }), { error: 'a list' }) });

function explain(value: unknown) {
  const { error } = schema.safeParse(value);
  return explainIssues(error!, value, schema).map(({ text }) => text);
}

test('what is wrong in 100,000 places is told at once', async () => {
  const used = await processorMs(() => {
    const items = explain({ list: Array(100_000).fill(1) });
    expect(items[0]).toBe('Expected `list[0]` to be a text, got 1');
    const keys = explain({
      list: [],
      ...Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`k${n}`, 1])),
    });
    expect(keys[0]).toBe('`k0` is not known; known here: list');
  });
  // Under a second; with each place compared with each other one, 30.
  expect(used).toBeLessThan(10_000);
});

test('a value that refers to itself by the million is shown by its beginning', () => {
  let value: unknown = 'lol';
  for (let depth = 0; depth < 30; depth++) value = Array(9).fill(value);
  expect(explain({ list: value })[0]).toMatch(/^Expected `list\[0\]` to be a text, got \[{10,}.{1,60}…$/);
});

test('a key of 900 kB is named by its beginning', () => {
  const [text = ''] = explain({ list: [], ['k'.repeat(900_000)]: 1 });
  expect(text).toBe(`\`${'k'.repeat(60)}…\` is not known; known here: list`);
});
