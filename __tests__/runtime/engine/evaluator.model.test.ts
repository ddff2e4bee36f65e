/** What nobody has written down of llama.cpp's native half, with the real model. */
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { testModel } from '../../support/test-model';
import { CHILD } from './support/model-engine';

jest.setTimeout(180_000);

it('goes on after an evaluation that llama.cpp refused, on the same sequences', () => {
  const script = join(__dirname, 'evaluate-refused.mjs');
  const out = execFileSync(process.execPath, [script, dirname(CHILD), testModel().path], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    encoding: 'utf8',
  });
  const { prompt, begun, said, lengths, next, fresh, again } = JSON.parse(out) as Record<string, unknown>;
  expect(said).toMatch(/failed/i);
  expect(lengths).toEqual([prompt, 0]);
  // The same prompt is answered the same on both, and the next token by one that read all at once.
  expect(fresh).toBe(begun);
  expect(again).toBe(next);
});
