/** Settings that follow the memory, with the real model: the memory that is there is said to be reserved but for a rest. */
import { readFileSync } from 'node:fs';

import { availableMemory, ENGINE_BYTES, residentBytes } from '../../../runtime/src/engine/memory';
import type { LocalEngineOptions } from '../../../runtime/src/engine/options';
import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { testModel } from '../../support/test-model';
import { CHILD, longPrompt, never, request } from './support/model-engine';

const MIB = 2 ** 20;
/** Of 3,020 that 32 sequences need in f16; other programs of the machine move it by hundreds. */
const FREE_MIB = 1280;
jest.setTimeout(120_000);

/** Since the process began: VmHWM in /proc/PID/status. */
function mostResidentMiB(pid: number | undefined): number {
  const [, kibibytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}

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

it('answers eight at once by default, within what was planned when all eight contexts are full', async () => {
  // One thread: two on a machine that others use read a tenth of it, and the memory is the same.
  const engine = await started(2048, { contextSize: 512, threads: 1 });
  try {
    const said = engine.model.notes.join('\n');
    const [, weights, context] =
      /^memory: (\d+) MiB for the weights and (\d+) MiB for 8 sequences of 512 tokens in f16$/m.exec(said) ??
      [];
    const [, empty] = /^(\d+) MiB of the context are taken as conversations grow$/m.exec(said) ?? [];
    const before = await residentBytes(engine.pid);
    let together = 0;
    const answers = Array.from({ length: 8 }, async () => {
      for await (const event of engine.generate(request(longPrompt(420), { maxTokens: 40 }), never)) {
        together = Math.max(together, engine.status().running);
        if (event.type === 'end') return event.usage.promptTokens + event.usage.completionTokens;
      }
      return 0;
    });
    const lengths = await Promise.all(answers);
    expect(together).toBe(8);
    expect(Math.min(...lengths)).toBeGreaterThan(420);
    const taken = await residentBytes(engine.pid);
    expect((taken - before) / MIB).toBeGreaterThan(Number(empty) * 0.7);
    expect(taken).toBeLessThan((Number(weights) + Number(context)) * MIB + ENGINE_BYTES);
  } finally {
    await engine.stop();
  }
}, 300_000);

it('gives up four of the eight first, and nothing else where that is enough', async () => {
  // Half way between what four need and what eight do; other programs of the machine move it by hundreds.
  const engine = await started(1264, { contextSize: 8192 });
  const { contextSize, sequences, notes } = engine.model;
  await engine.stop();
  expect({ contextSize, sequences }).toEqual({ contextSize: 8192, sequences: 4 });
  expect(notes.join('\n')).toMatch(/^sequences 4: else .* for 8 sequences of 8192 tokens in f16, and only/m);
});

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
    // Nor was the rest ever, where our library has llama.cpp leave the zeroes out.
    if (/^faster kernels for/m.test(said))
      expect(mostResidentMiB(engine.pid)).toBeLessThan(2 * Number(weights) + Number(context) / 2);
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
