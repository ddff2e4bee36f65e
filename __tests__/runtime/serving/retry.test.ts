/** An engine that has failed is started again, at growing intervals, and requests are told when. */
import { modelsOf } from '../../../runtime/src/config/models';
import { ApiError } from '../../../runtime/src/errors/api-error';
import { createLogger } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';
import { retryWhenFailed } from '../../../runtime/src/serving/retry';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { ScriptedEngine } from '../support/scripted-engine';
import { testConfig } from '../support/test-service';

const controller = new AbortController();
const engines = [new ScriptedEngine(), new ScriptedEngine()] as const;
const ring = createLogRing();
const configs = modelsOf(testConfig({ model_path: '/a.gguf', models: [{ model_path: '/b.gguf' }] }));
const models = new ServedModels(
  configs.map((config, index) => ({ config, engine: engines[index]! })),
  1,
);
const [, model] = models.all;

/** What Retry-After says. */
function refusal(): string | undefined {
  try {
    model!.admission.enter().release();
    return undefined;
  } catch (error) {
    return (error as ApiError).headers['Retry-After'];
  }
}

let starts = 0;
beforeAll(() => {
  jest.useFakeTimers();
  retryWhenFailed(model!, { models, log: createLogger([ring]), signal: controller.signal });
});
afterAll(() => {
  controller.abort();
  jest.useRealTimers();
});

test('a model that fails is started again, each minute at last, until it answers', async () => {
  engines[1].onStart = () => {
    starts++;
    engines[1].changeState('loading');
    engines[1].changeState('failed', 'model_path: there is no file');
    return Promise.reject(new Error('model_path: there is no file'));
  };
  engines[1].changeState('failed', 'model_path: there is no file');
  for (const seconds of [5, 10, 20, 40, 60, 60]) {
    // Told twice, it is tried once.
    engines[1].changeState('failed', 'model_path: there is no file');
    expect(refusal()).toBe(String(seconds));
    const before = starts;
    await jest.advanceTimersByTimeAsync(seconds * 1000 - 1);
    expect(starts).toBe(before);
    await jest.advanceTimersByTimeAsync(1);
    expect(starts).toBe(before + 1);
  }
  expect(ring.lines()[0]).toContain('[ERR] models[0].model_path: there is no file; trying again in 5 s');

  engines[1].onStart = () => {
    engines[1].changeState('ready');
    return Promise.resolve();
  };
  await jest.advanceTimersByTimeAsync(60_000);
  expect(refusal()).toBeUndefined();
  expect(ring.lines().at(-1)).toContain('[INF] ready: ');
  engines[1].changeState('failed', 'again');
  expect(refusal()).toBe('5');
});

test('one that is on its way out is not', async () => {
  const onStart = jest.fn(() => Promise.resolve());
  engines[1].onStart = onStart;
  engines[1].changeState('stopped');
  await jest.advanceTimersByTimeAsync(60_000);
  engines[1].changeState('failed', 'again');
  controller.abort();
  await jest.advanceTimersByTimeAsync(600_000);
  expect(onStart).not.toHaveBeenCalled();
});
