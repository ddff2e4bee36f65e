import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { PolicyDesk } from '../../../runtime/src/policy/desk';
import { PolicyError } from '../../../runtime/src/policy/read';
import { REPOSITORY } from '../../support/test-model';

const workerEntry = join(REPOSITORY, 'runtime', 'dist', 'policy', 'worker.js');
const desk = new PolicyDesk({ maxRequestSeconds: 300, workerEntry });
const LONG = `words:\n  - name: many\n    action: mask\n    words:\n${Array.from({ length: 5000 }, (_, n) => `      - a敏${n}\n`).join('')}`;

/** What a promise resolves to, and how often others had a turn of the event loop before. */
async function withTurns<T>(promise: Promise<T>): Promise<{ result: T; turns: number }> {
  let isOver = false;
  const over = promise.finally(() => (isOver = true));
  let turns = 0;
  for (; !isOver; turns++) await setImmediate();
  return { result: await over, turns };
}

test('others have their turn while a long policy is read, and while one is written', async () => {
  const { result: policy, turns } = await withTurns(desk.read(LONG));
  expect(policy.words[0]?.words).toHaveLength(5000);
  // In one go it is none or one; in a thread, thousands.
  expect(turns).toBeGreaterThan(10);
  const { result: text, turns: ofWriting } = await withTurns(desk.rewrite(`# mine\n${LONG}`, policy));
  expect(text).toBe(`# mine\n${LONG}`);
  expect(ofWriting).toBeGreaterThan(10);
});

test('a thread says what is wrong as it is said here', async () => {
  await expect(desk.read(`${LONG}words: 5`)).rejects.toThrow(PolicyError);
  await expect(desk.read(`${LONG}words: 5`)).rejects.toThrow(/^line 5005, column 1: not valid YAML/);
  await expect(desk.rewrite('', { wordz: [] })).rejects.toThrow(/did you mean `words`/);
});

test('a thread that fails is an error, not a wait for ever', async () => {
  const broken = new PolicyDesk({ maxRequestSeconds: 300, workerEntry: join(__dirname, 'none.js') });
  await expect(broken.read(LONG)).rejects.toThrow(/none\.js/);
});
