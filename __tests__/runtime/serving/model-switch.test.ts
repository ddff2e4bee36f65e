import { modelsOf } from '../../../runtime/src/config/models';
import type { Estimate } from '../../../runtime/src/engine/estimate-models';
import type { MemoryPlan } from '../../../runtime/src/engine/memory-plan';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { createLogger } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';
import { ModelSwitch } from '../../../runtime/src/serving/model-switch';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { fails, says, ScriptedEngine } from '../support/scripted-engine';
import { testConfig, until } from '../support/test-service';

const MIB = 2 ** 20;
const FREE = 1000 * MIB;
const REMOTE = { endpoint: 'https://far.example/v1', auth: { type: 'bearer', token: 'x' } };

/** Eight sequences take `bytes`, four `fewerBytes`. */
const need = (bytes: number, leastBytes = bytes, fewerBytes = bytes): Estimate => ({
  bytes,
  fewer: { sequences: 4, bytes: fewerBytes },
  leastBytes,
});

class Local extends ScriptedEngine {
  readonly pid = undefined;
  constructor(id: string, script = says('hello')) {
    super(script);
    this.model = { ...this.model, id };
  }
}

/** Two local models, `a` and `b`, and a remote one; the new one takes `bytes`. */
function make(bytes: number, made: () => Local = () => new Local('c'), leastBytes = bytes) {
  const models = [{ model_path: '/b.gguf' }, { model_name: 'far', remote_service: REMOTE }];
  const configs = modelsOf(testConfig({ model_path: '/a.gguf', models }));
  const running = [new Local('a'), new Local('b')];
  const far = new Local('far');
  const engines = [...running.map((engine) => new SwitchableEngine(engine)), far];
  const served = new ServedModels(
    configs.map((config, index) => ({ config, engine: engines[index]! })),
    1,
  );
  const started: string[] = [];
  const ring = createLogRing();
  const options = {
    models: served,
    factory: {
      local: (model: { path?: string }) => {
        started.push(model.path ?? '');
        return Promise.resolve(made());
      },
      estimate: (all: readonly unknown[]): Promise<readonly Estimate[]> =>
        Promise.resolve(
          all.map((_, index) => (index === all.length - 1 ? need(bytes, leastBytes) : need(0))),
        ),
    },
    caches: { of: () => Promise.resolve(undefined) },
    available: () => Promise.resolve({ bytes: FREE, source: 'a test' }),
    log: createLogger([ring]),
    limitMs: 1000,
  };
  const steps: string[] = [];
  const order = (given: object = {}) =>
    new ModelSwitch(options).run({ path: '/c.gguf', ...given }, (step) => steps.push(step));
  return { order, steps, served, started, running, options, logged: () => ring.lines() };
}

describe('ModelSwitch', () => {
  test('loads the new model beside the old one where the memory holds both', async () => {
    const { order, steps, served, running } = make(800 * MIB);
    expect(await order()).toBe('c');
    expect(steps[0]).toMatch(/the memory holds both/);
    expect(served.names).toEqual(['c', 'b', 'far']);
    expect(served.default.config).toMatchObject({ id: 'c', path: '/c.gguf' });
    expect(await served.promisedBeside('models[0].')).toBe(800 * MIB);
    expect(running.map(({ stopped }) => stopped)).toEqual([true, false]);
  });

  test('lets them change places where it does not', async () => {
    const { order, steps, running } = make(936 * MIB);
    expect(await order()).toBe('c');
    expect(steps[0]).toMatch(/the memory does not hold both: new requests wait/);
    expect(running[0]?.stopped).toBe(true);
  });

  test('and keeps from the new one, and from the old one that comes back, what other models will still take', async () => {
    const plans: unknown[] = [];
    const { order, options } = make(0, () => {
      const engine = new Local('c', fails(new Error('it broke')));
      jest.spyOn(engine, 'start').mockImplementation((memory?: MemoryPlan) => {
        plans.push(memory);
        return Promise.resolve();
      });
      return engine;
    });
    options.factory.estimate = () => Promise.resolve([300, 200, 700].map((mib) => need(mib * MIB)));
    await expect(order()).rejects.toThrow('it broke');
    const plan = { reservedBytes: 200 * MIB, returningBytes: 0 };
    expect(plans).toEqual([plan, plan]);
  });

  test('loads it beside the old one with fewer sequences rather than with a pause', async () => {
    const { order, steps, options } = make(0);
    options.factory.estimate = () => Promise.resolve([need(0), need(0), need(1200 * MIB, 100, 800 * MIB)]);
    await order();
    expect(steps[0]).toMatch(/the memory holds both/);
  });

  test('counts what runs as what it is, which is less where it found no room for all sequences', async () => {
    const { order, steps, options, running } = make(0);
    const estimates = [need(0), need(250 * MIB, 100, 100 * MIB), need(700 * MIB)];
    options.factory.estimate = () => Promise.resolve(estimates);
    running[1]!.model = { ...running[1]!.model, sequences: 8 };
    await order();
    expect(steps[0]).toMatch(/does not hold both/);
    running[1]!.model = { ...running[1]!.model, sequences: 4 };
    await order();
    expect(steps.at(-3)).toMatch(/the memory holds both/);
  });

  test('also where it has to do with less than is wanted', async () => {
    const { order, steps } = make(2000 * MIB, undefined, 900 * MIB);
    await order();
    expect(steps[0]).toMatch(/does not hold both/);
  });

  test('does nothing where the new one does not even fit alone', async () => {
    const { order, running, started } = make(1001 * MIB);
    await expect(order()).rejects.toThrow(
      /needs 1001 MiB of memory, and 1000 MiB would be free without the old/,
    );
    expect(started).toEqual([]);
    expect(running[0]?.stopped).toBe(false);
  });

  test('keeps the old one where the new one answers with an error, and writes why', async () => {
    const { order, served, logged } = make(800 * MIB, () => new Local('c', fails(new Error('it broke'))));
    await expect(order()).rejects.toThrow('it broke');
    expect(served.names).toEqual(['a', 'b', 'far']);
    expect(served.default.config.path).toBe('/a.gguf');
    expect(logged().some((line) => line.includes('[ERR] switch of models: not switched: it broke'))).toBe(
      true,
    );
  });

  test('keeps a model that answers in text where the new one makes embeddings', async () => {
    const embedder = new Local('c');
    embedder.model = { ...embedder.model, makes: 'embeddings' };
    const { order, served, running } = make(800 * MIB, () => embedder);
    await expect(order()).rejects.toThrow('it makes embeddings, and a makes text');
    expect(served.names).toEqual(['a', 'b', 'far']);
    expect(embedder.stopped).toBe(true);
    expect(running[0]?.stopped).toBe(false);
  });

  test('replaces another than the default one by name', async () => {
    const { order, served } = make(800 * MIB);
    await order({ replaces: 'b', name: 'c' });
    expect(served.names).toEqual(['a', 'c', 'far']);
  });

  test.each([
    [{ replaces: 'x' }, /no model is called x; served are a, b, far/],
    [{ replaces: 'far' }, /far is a remote service's/],
    [{ name: 'b' }, /another model is called b already/],
  ])('refuses the order %j', async (order, message) => {
    await expect(make(800 * MIB).order(order)).rejects.toThrow(message);
  });

  test('does one at a time', async () => {
    let release = (): void => undefined;
    const next = new Local('c');
    next.onStart = () => new Promise((resolve) => (release = resolve));
    const { options, started } = make(800 * MIB, () => next);
    const models = new ModelSwitch(options);
    const first = models.run({ path: '/c.gguf' }, () => undefined);
    await until(() => started.length === 1);
    await expect(models.run({ path: '/d.gguf' }, () => undefined)).rejects.toThrow(
      'another switch, or a reload, is under way',
    );
    release();
    await first;
  });
});
