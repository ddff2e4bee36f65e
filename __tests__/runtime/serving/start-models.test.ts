import { modelsOf } from '../../../runtime/src/config/models';
import { EngineError } from '../../../runtime/src/engine/engine';
import type { MemoryPlan } from '../../../runtime/src/engine/memory-plan';
import type { Estimate } from '../../../runtime/src/engine/estimate-models';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { createLogger } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { startModels } from '../../../runtime/src/serving/start-models';
import { ScriptedEngine } from '../support/scripted-engine';
import { testConfig, until } from '../support/test-service';

const GIB = 2 ** 30;
const REMOTE = { endpoint: 'https://far.example/v1', auth: { type: 'bearer', token: 'x' } };
const need = (bytes: number, leastBytes = bytes, fewerBytes = bytes): Estimate => ({
  bytes,
  fewer: { sequences: 4, bytes: fewerBytes },
  leastBytes,
});
const LOCAL = [{ model_path: '/b.gguf' }, { model_path: '/c.gguf' }];

let controller: AbortController;
beforeEach(() => (controller = new AbortController()));
afterEach(() => controller.abort());

function make(
  models: readonly object[],
  estimates: readonly Estimate[] = [],
  first: object = { model_path: '/a.gguf' },
) {
  const engines = [undefined, ...models].map(() => new ScriptedEngine());
  const starts: { readonly engine: number; readonly memory?: MemoryPlan | undefined }[] = [];
  engines.forEach((engine, index) => {
    jest.spyOn(engine, 'start').mockImplementation((memory?: MemoryPlan) => {
      starts.push({ engine: index, memory });
      return engine.onStart();
    });
  });
  const configs = modelsOf(testConfig({ ...first, models }));
  const served = new ServedModels(
    configs.map((config, index) => {
      const engine = Object.assign(engines[index]!, { pid: undefined });
      return { config, engine: config.path === undefined ? engine : new SwitchableEngine(engine) };
    }),
    1,
  );
  const ring = createLogRing();
  const options = {
    factory: { estimate: () => Promise.resolve(estimates) },
    log: createLogger([ring]),
    signal: controller.signal,
  };
  return {
    engines,
    served,
    starts,
    logged: () => ring.lines(),
    start: (more: object = {}) => startModels(served, { ...options, ...more }),
  };
}

describe('startModels', () => {
  test('loads one after the other, without the memory that the others will take', async () => {
    const bytes = [1, 2, 4].map((count) => need(count * 1024));
    const { start, starts } = make(LOCAL, bytes);
    await start();
    expect(starts).toEqual([
      { engine: 0, memory: { reservedBytes: 6 * 1024, returningBytes: 0 } },
      { engine: 1, memory: { reservedBytes: (1 + 4) * 1024, returningBytes: 0 } },
      { engine: 2, memory: { reservedBytes: (1 + 2) * 1024, returningBytes: 0 } },
    ]);
  });

  test('knows what the others will still take when one of them comes back after a crash', async () => {
    const { start, served } = make(
      [...LOCAL, { model_name: 'far', remote_service: REMOTE }],
      [1, 2, 4].map((count) => need(count * 1024)),
    );
    await start();
    const promised = served.all.map(({ config }) => served.promisedBeside(config.key));
    expect(await Promise.all(promised)).toEqual([6, 5, 3, 7].map((count) => count * 1024));
  });

  test('plans all with fewer sequences, and nothing else given up, where only that fits', async () => {
    const { start, starts, engines } = make(LOCAL, [
      need(4096 * GIB, 1, 10),
      need(4096 * GIB, 2, 20),
      need(40),
    ]);
    // The second one found room for all of its sequences.
    engines[0]!.model = { ...engines[0]!.model, sequences: 4 };
    engines[1]!.model = { ...engines[1]!.model, sequences: 8 };
    await start();
    expect(starts.map(({ memory }) => memory?.reservedBytes)).toEqual([20 + 40, 10 + 40, 10 + 4096 * GIB]);
  });

  test('leaves each the least that it can do with, where not all of what is wanted fits', async () => {
    const { start, starts, served } = make(LOCAL, [need(4096 * GIB, 10), need(4096 * GIB, 20), need(1, 1)]);
    await start();
    expect(starts[0]?.memory?.reservedBytes).toBe(21);
    // All that is free but its own 20 bytes.
    expect(starts[1]?.memory?.reservedBytes).toBeGreaterThan(1024);
    expect(await served.promisedBeside('')).toBe(21);
    expect(await served.promisedBeside('models[0].')).toBeLessThan(4096 * GIB);
  });

  test('loads none of them where they do not fit together, and names the keys', async () => {
    const { start, starts } = make(LOCAL, [need(GIB), need(4096 * GIB), need(GIB)]);
    await expect(start()).rejects.toThrow(
      /`models`: together they need 4196352 MiB .*model_path 1024 MiB, models\[0\]\.model_path 4194304 MiB.* are free/,
    );
    expect(starts).toEqual([]);
  });

  test('names the key of a model that cannot be read, or not be loaded', async () => {
    const problem = 'model_path: /b.gguf is cut short';
    await expect(
      make(LOCAL, [need(1), { problem: 'model_path: /b.gguf is cut short' }]).start(),
    ).rejects.toThrow(`models[0].${problem}`);
    const late = make(LOCAL, [need(1), need(1), need(1)]);
    late.engines[2]!.onStart = () => Promise.reject(new EngineError('model_unusable', 'it has no tokens'));
    await expect(late.start()).rejects.toThrow('models[1] (c): it has no tokens');
  });

  test('does not wait for a further remote service, which may be down', async () => {
    const { engines, logged, start } = make([{ remote_service: REMOTE, model_name: 'far' }]);
    engines[1]!.onStart = () => {
      engines[1]!.changeState('failed', 'it cannot be reached');
      return Promise.reject(new EngineError('upstream_failed', 'it cannot be reached'));
    };
    await start();
    await until(() =>
      logged().some((line) => line.includes('models[0] (far): it cannot be reached; trying again')),
    );
  });

  test('has a default remote service hold nobody up either, unless it must answer', async () => {
    const fails = (engine: ScriptedEngine) => () => {
      engine.changeState('failed', 'it cannot be reached');
      return Promise.reject(new EngineError('upstream_failed', 'it cannot be reached'));
    };
    const models = [{ model_path: '/b.gguf' }];
    const lenient = make(models, [], { model_path: undefined, remote_service: REMOTE, model_name: 'far' });
    lenient.engines[0]!.onStart = fails(lenient.engines[0]!);
    await lenient.start();
    expect(lenient.logged().join()).toMatch(/\[ERR\] it cannot be reached; trying again in 5 s/);
    const strict = make(models, [], { model_path: undefined, remote_service: REMOTE, model_name: 'far' });
    strict.engines[0]!.onStart = fails(strict.engines[0]!);
    await expect(strict.start({ defaultMustAnswer: true })).rejects.toThrow('it cannot be reached');
    expect(strict.starts.map(({ engine }) => engine)).toEqual([0]);
  });
});
