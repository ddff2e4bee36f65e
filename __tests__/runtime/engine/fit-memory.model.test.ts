/** Settings that follow the memory, with the real model: the memory that is there is said to be reserved but for a rest. */
import { availableMemory, residentBytes } from '../../../runtime/src/engine/memory';
import type { LocalEngineOptions } from '../../../runtime/src/engine/options';
import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { testModel } from '../../support/test-model';
import { CHILD, never, request } from './support/model-engine';

const MIB = 2 ** 20;
/** Of 3,020 that 32 sequences need in f16; other programs of the machine move it by hundreds. */
const FREE_MIB = 1280;
jest.setTimeout(120_000);

async function started(freeMiB: number, options: Partial<LocalEngineOptions> = {}) {
  const engine = new SupervisedEngine(
    { modelPath: testModel().path, promptCacheMiB: 0, log: () => undefined, ...options },
    CHILD,
  );
  const { bytes } = (await availableMemory())!;
  try {
    await engine.start({ reservedBytes: bytes - freeMiB * MIB, returningBytes: 0 });
  } catch (error) {
    await engine.stop();
    throw error;
  }
  return engine;
}

it('gives up what nobody has set until the model fits, says so, and answers', async () => {
  const engine = await started(FREE_MIB, { sequences: 32 });
  try {
    const { contextSize, sequences, notes } = engine.model;
    const said = notes.join('\n');
    const [, weights, context] =
      /^memory: (\d+) MiB for the weights and (\d+) MiB for .* in q8_0$/m.exec(said) ?? [];
    const [, given, free] =
      /^kv_cache_type q8_0(?:, context_size (\d+))?: else .* in f16, and only (\d+) MiB are free/m.exec(
        said,
      ) ?? [];
    expect(Number(weights) + Number(context)).toBeLessThanOrEqual(Number(free) + 1);
    expect({ contextSize, sequences }).toEqual({ contextSize: Number(given ?? 4096), sequences: 32 });
    let text = '';
    for await (const event of engine.generate(request('Say hello.'), never)) {
      if (event.type === 'text') text += event.text;
    }
    expect(text).toMatch(/\p{L}{2,}/u);
    // Of the context, only what conversations have filled is in memory.
    expect(said).toMatch(/^\d+ MiB of the context are taken as conversations grow$/m);
    expect((await residentBytes(engine.pid)) / MIB).toBeLessThan(Number(weights) + Number(context) / 2);
  } finally {
    await engine.stop();
  }
});

it('refuses instead of lowering what was set', async () => {
  const fixed = { contextSize: 4096, sequences: 32, kvCacheType: 'f16' } as const;
  await expect(started(FREE_MIB, fixed)).rejects.toThrow(
    /the model needs \d+ MiB of memory .* but only \d+ MiB are free .*without 64 MiB for requests and \d+ MiB for others\)/,
  );
});
