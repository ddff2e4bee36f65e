/** A switch in place that fails, with real engines: the old model comes back, and nobody who waited goes without. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { modelsOf, type ModelConfig } from '../../../runtime/src/config/models';
import type { GenerateRequest } from '../../../runtime/src/engine/engine';
import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { createLogger } from '../../../runtime/src/log/logger';
import { ModelSwitch } from '../../../runtime/src/serving/model-switch';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { writeEmbeddingModel } from '../../support/embedding-model';
import { testModel } from '../../support/test-model';
import { CHILD, never, request, until } from '../engine/support/model-engine';
import { testConfig } from '../support/test-service';

jest.setTimeout(180_000);

const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'in-place-'));
const [config] = modelsOf(testConfig({ model_path: testModel().path })) as [ModelConfig];
const made: SupervisedEngine[] = [];
const local = ({ path = '', id }: ModelConfig): SupervisedEngine => {
  const engine = new SupervisedEngine(
    { modelPath: path, modelId: id, contextSize: 256, sequences: 2, promptCacheMiB: 0, log: () => undefined },
    CHILD,
  );
  made.push(engine);
  return engine;
};
const engine = new SwitchableEngine(local(config));
const models = new ServedModels([{ config, engine }], 1);

beforeAll(() => engine.start());
afterAll(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true });
});

const NEED = { bytes: 300 * MIB, fewer: { sequences: 2, bytes: 300 * MIB }, leastBytes: 300 * MIB };

/** The memory holds one of them. */
const switchTo = (path: string, say: (line: string) => void) =>
  new ModelSwitch({
    models,
    factory: {
      local: (model) => Promise.resolve(local(model)),
      estimate: (all) => Promise.resolve(all.map(() => NEED)),
    },
    caches: { of: () => Promise.resolve(undefined) },
    available: () => Promise.resolve({ bytes: 400 * MIB, source: 'a test' }),
    log: createLogger([]),
    limitMs: 60_000,
  }).run({ path }, say);

async function answer(options: Partial<GenerateRequest> = {}): Promise<string> {
  let text = '';
  for await (const event of engine.generate(request('Count to nine.', options), never))
    if (event.type === 'text') text += event.text;
  return text;
}

const BAD: readonly [string, RegExp, (path: string) => void][] = [
  ['loads and cannot answer', /it makes embeddings/, writeEmbeddingModel],
  [
    'was damaged after it was checked',
    /attn_q\.weight/,
    (path) => {
      const bytes = readFileSync(testModel().path);
      bytes.write('blk.3.attn_X.weight', bytes.indexOf('blk.3.attn_q.weight'));
      writeFileSync(path, bytes);
    },
  ],
];

test.each(BAD)('a file that %s', async (_what, reason, write) => {
  const path = join(folder, 'bad.gguf');
  write(path);
  const before = await answer();
  const old = { pid: engine.pid, id: engine.model.id };
  const steps: string[] = [];
  const running = answer({ maxTokens: 100 });
  await until(() => engine.status().running === 1);
  const order = switchTo(path, (line) => steps.push(line));
  const failed = expect(order).rejects.toThrow(reason);
  await until(() => engine.status().state === 'switching');
  const waiting = Array.from({ length: 5 }, () => answer());
  await failed;
  expect((await running).startsWith(before)).toBe(true);
  expect(await Promise.all(waiting)).toEqual(Array<string>(5).fill(before));
  expect(steps).toEqual([
    expect.stringMatching(/new requests wait/),
    expect.stringMatching(/is loaded again$/),
  ]);
  expect(models.names).toEqual([old.id]);
  expect(engine.status()).toMatchObject({ state: 'ready', running: 0, waiting: 0 });
  // The one that runs is the only one left.
  expect(made.filter(({ pid }) => pid !== undefined).map(({ pid }) => pid)).toEqual([engine.pid]);
  expect(engine.pid).not.toBe(old.pid);
});
