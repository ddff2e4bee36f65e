import childProcess from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineState, GenerateEvent, GenerateRequest } from '../../../runtime/src/engine/engine';
import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';

const CHILD = join(__dirname, 'fake-child.mjs');
const never = new AbortController().signal;

let folder: string;
const engines: SupervisedEngine[] = [];

beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'engine-'))));
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function makeEngine(
  behaviour: string,
  loadTimeoutSeconds = 20,
  promisedBytes?: () => Promise<number>,
): {
  engine: SupervisedEngine;
  states: EngineState[];
  logged: string[];
} {
  const logged: string[] = [];
  const engine = new SupervisedEngine(
    {
      modelPath: join(folder, behaviour),
      modelId: 'fake',
      loadTimeoutSeconds,
      ...(promisedBytes === undefined ? {} : { promisedBytes }),
      log: (_level, text) => logged.push(text),
    },
    CHILD,
    {
      heartbeatMs: 100,
      missedHeartbeats: 3,
      missedHeartbeatsWhileLoading: 100,
      firstBackoffMs: 20,
      stopMs: 500,
    },
  );
  engines.push(engine);
  const states: EngineState[] = [];
  engine.onState(({ state }) => states.push(state));
  return { engine, states, logged };
}

const request = (prompt: string): GenerateRequest => ({
  id: 'r',
  input: { prompt },
  maxTokens: 8,
  temperature: 0,
  topP: 1,
  stop: [],
  frequencyPenalty: 0,
  presencePenalty: 0,
});

async function collect(engine: SupervisedEngine, prompt: string, signal = never): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(request(prompt), signal)) events.push(event);
  return events;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 4000) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** From now on a fork finds no program to run, which Node tells in the same way as a machine that is out of processes. */
function forkNothing(): () => void {
  const { fork } = childProcess;
  const spy = jest
    .spyOn(childProcess, 'fork')
    .mockImplementation(((entry: string, options: childProcess.ForkOptions) =>
      fork(entry, { ...options, execPath: '/nonexistent' })) as typeof fork);
  return () => spy.mockRestore();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('SupervisedEngine', () => {
  it('takes the model from the child that loaded it', async () => {
    const { engine, states } = makeEngine('ready');
    expect(engine.status().state).toBe('loading');
    await engine.start();
    expect(states).toEqual(['ready']);
    expect(engine.model).toEqual({ id: 'fake', contextSize: 64, sequences: 2, notes: ['a note'] });
  });

  it('refuses requests before the model is ready', async () => {
    const { engine } = makeEngine('ready');
    await expect(collect(engine, 'hi')).rejects.toMatchObject({ code: 'engine_unavailable' });
  });

  it('gives the child one thread for its pool and no secret of the parent', async () => {
    process.env.GENERATED_KEY = 'a secret';
    const { engine } = makeEngine('ready');
    await engine.start();
    const events = await collect(engine, 'environment');
    delete process.env.GENERATED_KEY;
    const text = events.find((event) => event.type === 'text');
    const environment = JSON.parse(text!.text) as Record<string, string>;
    expect(environment.UV_THREADPOOL_SIZE).toBe('1');
    expect(JSON.stringify(environment)).not.toContain('a secret');
    expect(Object.keys(environment).filter((name) => /KEY|TOKEN|SECRET|AWS/.test(name))).toEqual([]);
  });

  it('says why a model is unusable, and does not try again', async () => {
    const { engine, states } = makeEngine('unusable');
    await expect(engine.start()).rejects.toMatchObject({
      code: 'model_unusable',
      message: 'the file is no model',
      details: { path: 'x' },
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(states).toEqual(['failed']);
    expect(engine.status()).toMatchObject({ state: 'failed', restarts: 0 });
    expect(engine.pid).toBeUndefined();
  });

  it('reports the last words of a child that dies while it loads, and does not try again', async () => {
    const { engine } = makeEngine('dies-loading');
    await expect(engine.start()).rejects.toThrow(
      /signal SIGKILL.*GGML_ASSERT\(it broke\) failed.*out of memory/,
    );
    expect(engine.status()).toMatchObject({ state: 'failed', restarts: 0 });
  });

  it('interrupts what runs when the child dies, and starts another', async () => {
    const { engine, states } = makeEngine('ready');
    await engine.start();
    const running = collect(engine, 'endless');
    await until(() => engine.status().running === 1);
    const dying = collect(engine, 'die');
    await expect(running).rejects.toMatchObject({ code: 'engine_interrupted' });
    await expect(dying).rejects.toMatchObject({ code: 'engine_interrupted' });
    await expect(collect(engine, 'hi')).rejects.toMatchObject({ code: 'engine_unavailable' });
    await until(() => engine.status().state === 'ready');
    expect(states).toEqual(['ready', 'restarting', 'ready']);
    expect(engine.status()).toMatchObject({ running: 0, waiting: 0, restarts: 1 });
    expect(await collect(engine, 'environment')).toHaveLength(3);
  });

  it('starts the next child with what the first had room for: the rest may be promised to another model', async () => {
    const { engine } = makeEngine('ready');
    await engine.start();
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => engine.status().state === 'ready');
    const text = (await collect(engine, 'settings')).map((event) =>
      event.type === 'text' ? event.text : '',
    );
    expect(JSON.parse(text.join(''))).toMatchObject({ contextSize: 64, sequences: 2, kvCacheType: 'q8_0' });
  });

  it('tells the next child what models beside it will still take by then', async () => {
    let promised = 1;
    const { engine } = makeEngine('ready', undefined, () => Promise.resolve(promised));
    const memory = async () => {
      const text = (await collect(engine, 'memory')).map((event) =>
        event.type === 'text' ? event.text : '',
      );
      return JSON.parse(text.join('')) as unknown;
    };
    const first = { reservedBytes: 3, returningBytes: 4 };
    await engine.start(first);
    expect(await memory()).toEqual(first);
    promised = 2;
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => engine.status().state === 'ready');
    expect(await memory()).toEqual({ reservedBytes: 0, returningBytes: 0, promisedBytes: 2 });
  });

  it('starts no child for an engine that was stopped while the others were asked', async () => {
    let answer = (_bytes: number): void => undefined;
    const asked = jest.fn(() => new Promise<number>((resolve) => (answer = resolve)));
    const { engine } = makeEngine('ready', undefined, asked);
    await engine.start();
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => asked.mock.calls.length === 1);
    await engine.stop();
    answer(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.pid).toBeUndefined();
  });

  it('gives up on a child that dies each time it loads after a crash', async () => {
    const { engine, states } = makeEngine('ready-once');
    await engine.start();
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => engine.status().state === 'failed');
    expect(engine.status().reason).toContain('SIGKILL');
    expect(states.at(-1)).toBe('failed');
    expect(engine.status().restarts).toBeLessThanOrEqual(4);
  });

  it('starts again after it has given up, when told to', async () => {
    const { engine, states } = makeEngine('ready-once');
    await engine.start();
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => engine.status().state === 'failed');
    const { restarts } = engine.status();
    await expect(engine.start()).rejects.toMatchObject({ code: 'model_unusable' });
    expect(states.slice(-2)).toEqual(['loading', 'failed']);
    rmSync(join(folder, 'ready-once.mark'));
    await engine.start();
    expect(engine.status()).toMatchObject({ state: 'ready', restarts: restarts + 2 });
    expect(await collect(engine, 'environment')).toHaveLength(3);
  });

  it('counts a process that cannot be started as one that died', async () => {
    const { engine, states, logged } = makeEngine('ready');
    await engine.start();
    const restore = forkNothing();
    await expect(collect(engine, 'die')).rejects.toMatchObject({ code: 'engine_interrupted' });
    await until(() => logged.some((line) => line.includes('ENOENT')));
    restore();
    await until(() => engine.status().state === 'ready');
    expect(states.at(-1)).toBe('ready');
    expect(engine.status().restarts).toBeGreaterThan(1);
  });

  it('says so when its first process cannot be started', async () => {
    const { engine } = makeEngine('ready');
    forkNothing();
    await expect(engine.start()).rejects.toThrow(/ENOENT/);
    expect(engine.status().state).toBe('failed');
  });

  it('lets nobody wait for counters of a child that is gone', async () => {
    const { engine } = makeEngine('ready');
    await engine.start();
    const stats = engine.stats();
    await Promise.all([engine.stop(), expect(stats).rejects.toMatchObject({ code: 'engine_interrupted' })]);
  });

  it('kills a child that hangs, and starts another', async () => {
    const { engine, logged } = makeEngine('ready');
    await engine.start();
    const hung = engine.pid!;
    process.kill(hung, 'SIGSTOP');
    await until(() => engine.status().state === 'restarting');
    await until(() => engine.status().state === 'ready');
    expect(isAlive(hung)).toBe(false);
    expect(logged.join('\n')).toContain('it did not answer any more');
  });

  it('kills a child that loads for ever, says why, and does not try again', async () => {
    const { engine, states } = makeEngine('loads-for-ever', 0.5);
    const started = engine.start();
    const pid = engine.pid!;
    await expect(started).rejects.toThrow(/not ready 0\.5 s after its start.*engine\.load_timeout_seconds/);
    await until(() => !isAlive(pid));
    expect(states).toEqual(['failed']);
  });

  it('kills a child that is stopped while it loads', async () => {
    const { engine } = makeEngine('loads-for-ever', 0.5);
    const started = engine.start();
    const pid = engine.pid!;
    process.kill(pid, 'SIGSTOP');
    await expect(started).rejects.toThrow(/not ready 0\.5 s after its start/);
    await until(() => !isAlive(pid));
  });

  it('counts a cancelled request until its sequence is free', async () => {
    const { engine } = makeEngine('ready');
    await engine.start();
    const controller = new AbortController();
    const running = collect(engine, 'endless', controller.signal);
    await until(() => engine.status().running === 1);
    controller.abort(new Error('client left'));
    expect(engine.status().running).toBe(1);
    await expect(running).rejects.toThrow('client left');
    await until(() => engine.status().running === 0);
  });

  it('leaves no process behind when stopped, and interrupts what runs', async () => {
    const { engine } = makeEngine('ready');
    await engine.start();
    const pid = engine.pid!;
    const running = collect(engine, 'endless');
    await until(() => engine.status().running === 1);
    await Promise.all([engine.stop(), expect(running).rejects.toMatchObject({ code: 'engine_interrupted' })]);
    expect(isAlive(pid)).toBe(false);
    expect(engine.status().state).toBe('stopped');
  });

  it('kills a stopped child that does not end by itself', async () => {
    const { engine } = makeEngine('ready');
    await engine.start();
    const pid = engine.pid!;
    process.kill(pid, 'SIGSTOP');
    await engine.stop();
    expect(isAlive(pid)).toBe(false);
  });
});
