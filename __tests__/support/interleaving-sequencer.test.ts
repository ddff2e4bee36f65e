import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { runEsModule } from './es-module';
import { REPOSITORY } from './test-model';

/** What `code`, which has all that the sequencer exports as `sequencer`, prints as JSON. */
function said<T>(code: string): T {
  const { stdout, stderr } = runEsModule(`
    const sequencer = await import(new URL('../__tests__/support/interleaving-sequencer.mjs', scripts));
    console.log(JSON.stringify(${code}));`);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

/** @param tests names with their seconds; those in capitals need an engine */
const order = (workers: number, tests: Record<string, number>) =>
  said<string[]>(`sequencer.takingTurns(Object.keys(${JSON.stringify(tests)}), {
    workers: ${workers},
    needsEngine: (name) => name === name.toUpperCase(),
    seconds: (name) => (${JSON.stringify(tests)})[name],
  })`).join(' ');

test('a file that needs an engine comes when the one before it has ended', () => {
  expect(order(2, { A: 9, B: 3, C: 3, a: 4, b: 4, c: 4, d: 1, e: 1 })).toBe('A a b c B C d e');
  expect(order(3, { A: 3, B: 1, a: 2, b: 2, c: 2, d: 2 })).toBe('A a b c d B');
});

test('where only such files are left, they come all the same', () => {
  expect(order(2, { A: 3, B: 2, C: 1, a: 1 })).toBe('A a B C');
  expect(order(2, { a: 1, b: 2 })).toBe('a b');
});

test('the files whose times are known in a clean clone are there, with all that need an engine', () => {
  const files = said<string[]>('Object.keys(sequencer.SECONDS)');
  expect(files.filter((file) => !existsSync(join(REPOSITORY, file)))).toEqual([]);
  const withEngine = readdirSync(join(REPOSITORY, '__tests__'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.model.test.ts'))
    .map((file) => `__tests__/${file}`);
  expect(files).toEqual(expect.arrayContaining(withEngine));
});
