/** What nobody has written down of llama.cpp's native half, with the real model. */
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '../../support/temporary-folder';
import { testModel } from '../../support/test-model';
import { writeTinyModel, type TinyArchitecture } from '../../support/tiny-models';
import { CHILD } from './support/model-engine';

jest.setTimeout(180_000);

function printed<Result>(script: string, model: string): Result {
  const out = execFileSync(process.execPath, [join(__dirname, script), dirname(CHILD), model], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    encoding: 'utf8',
  });
  return JSON.parse(out) as Result;
}

it('goes on after an evaluation that llama.cpp refused, on the same sequences', () => {
  const { prompt, begun, said, lengths, next, fresh, again } = printed<Record<string, unknown>>(
    'evaluate-refused.mjs',
    testModel().path,
  );
  expect(said).toMatch(/failed/i);
  expect(lengths).toEqual([prompt, 0]);
  // The same prompt is answered the same on both, and the next token by one that read all at once.
  expect(fresh).toBe(begun);
  expect(again).toBe(next);
});

describe('a sequence whose evaluation failed', () => {
  const folder = temporaryFolder();

  interface Printed {
    readonly undisturbed: number;
    readonly outcomes: Record<
      string,
      { readonly said: string; readonly before: number; readonly after: number; readonly next: number }
    >;
  }

  // All of what was evaluated can be taken back from a window; a state that has moved on is gone.
  it.each<[TinyArchitecture, { afterFailure: 'as it was' | 'empty' }]>([
    ['gemma3', { afterFailure: 'as it was' }],
    ['mamba', { afterFailure: 'empty' }],
    ['lfm2', { afterFailure: 'empty' }],
  ])(
    'remembers what was read before, or knows that it does not: %s, %p',
    (architecture, { afterFailure }) => {
      const path = join(folder(), 'model.gguf');
      writeTinyModel(path, architecture);
      const { undisturbed, outcomes } = printed<Printed>('evaluate-fails.mjs', path);
      const { refused, ...failed } = outcomes;
      expect(refused).toMatchObject({ said: expect.stringMatching(/failed/i), after: refused?.before });
      expect(Object.keys(failed)).toHaveLength(2);
      for (const { said, before, after } of Object.values(failed)) {
        expect(said).toBe('it broke');
        expect(after).toBe(afterFailure === 'empty' ? 0 : before);
      }
      for (const { next } of Object.values(outcomes)) expect(next).toBe(undisturbed);
    },
  );
});
