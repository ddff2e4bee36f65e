/** The engine with a real model that makes embeddings, held against llama-server's own answers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { writeEmbeddingModel } from '../../support/embedding-model';
import { CHILD, never } from './support/model-engine';

jest.setTimeout(120_000);

/** The first numbers of what llama-server b11669 answers for these texts, with the same file. */
const EXPECTED = {
  'The cat sat on the mat.': [-0.032150149, -0.01361175, 0.027586037, 0.031082435, 0.020620573],
};

const folder = mkdtempSync(join(tmpdir(), 'embeddings-'));
const path = join(folder, 'embedder.gguf');
const engine = new SupervisedEngine({ modelPath: path, contextSize: 256, log: () => undefined }, CHILD);
beforeAll(async () => {
  writeEmbeddingModel(path);
  await engine.start();
});
afterAll(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true });
});

const embed = (inputs: readonly (string | readonly number[])[], signal = never) =>
  engine.embed({ id: 'e', inputs }, signal);

test('makes the vectors that llama-server makes, of length 1', async () => {
  expect(engine.model).toMatchObject({ makes: 'embeddings', dimensions: 576 });
  expect(engine.model.notes.join('\n')).toContain('batches of 256 tokens');
  const { vectors, promptTokens } = await embed([...Object.keys(EXPECTED), 'A dog']);
  Object.values(EXPECTED).forEach((numbers, index) =>
    numbers.forEach((number, at) => expect(vectors[index]?.[at]).toBeCloseTo(number, 3)),
  );
  for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  expect(promptTokens).toBe(9);
});

test('refuses an input that does not fit, and tokens that it does not know', async () => {
  await expect(embed(['fits', 'word '.repeat(300)])).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: '`input[1]` has 301 tokens, and this model takes fewer than 256 at once; cut it into parts',
  });
  await expect(embed([[1, 9_999_999]])).rejects.toMatchObject({ code: 'prompt_refused' });
});

test('a list that is given up holds up nobody', async () => {
  const controller = new AbortController();
  const long = embed(
    Array.from({ length: 2000 }, () => 'a few words'),
    controller.signal,
  );
  expect((await embed(['short'])).vectors).toHaveLength(1);
  controller.abort(new Error('left'));
  await expect(long).rejects.toThrow('left');
  for (let i = 0; engine.status().running > 0 && i < 100; i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  expect(engine.status()).toMatchObject({ running: 0, waiting: 0, state: 'ready' });
});
