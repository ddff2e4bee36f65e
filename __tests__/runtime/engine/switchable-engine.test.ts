import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { EngineState, GenerateEvent } from '../../../runtime/src/engine/engine';
import { ALL_FREE } from '../../../runtime/src/engine/memory-plan';
import { SupervisedEngine } from '../../../runtime/src/engine/supervised-engine';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { until } from '../support/test-service';

const CHILD = join(__dirname, 'fake-child.mjs');
const never = new AbortController().signal;
const LIMIT_MS = 5000;

let folder: string;
const engines: SupervisedEngine[] = [];
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'engine-'))));
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
  rmSync(folder, { recursive: true, force: true });
});

/** An engine with a process of its own, which does what its name says. */
function engine(behaviour: string): SupervisedEngine {
  const made = new SupervisedEngine(
    { modelPath: join(folder, behaviour), log: () => undefined, loadTimeoutSeconds: 20 },
    CHILD,
    { stopMs: 500 },
  );
  engines.push(made);
  return made;
}

async function started(): Promise<{
  first: SupervisedEngine;
  place: SwitchableEngine;
  states: EngineState[];
}> {
  const first = engine('ready-first');
  const place = new SwitchableEngine(first);
  const states: EngineState[] = [];
  place.onState(({ state }) => states.push(state));
  await place.start();
  return { first, place, states };
}

async function ask(
  place: SwitchableEngine,
  prompt: string,
  signal = never,
): Promise<readonly GenerateEvent[]> {
  const sampling = {
    maxTokens: 8,
    temperature: 0,
    topP: 1,
    stop: [],
    frequencyPenalty: 0,
    presencePenalty: 0,
  };
  const events: GenerateEvent[] = [];
  for await (const event of place.generate({ id: 'r', input: { prompt }, ...sampling }, signal))
    events.push(event);
  return events;
}

/** Ends once `finish` was called. */
const untilMark = () => `until ${join(folder, 'mark')}`;
const finish = () => writeFileSync(join(folder, 'mark'), '');

const answers = () => Promise.resolve();
const isSilent = () => Promise.reject(new Error('it says nothing'));
const gone = (pid: number | undefined) => {
  try {
    process.kill(pid ?? 0, 0);
    return false;
  } catch {
    return true;
  }
};

describe('an engine beside the one that runs', () => {
  const beside = { memory: ALL_FREE, prove: answers, limitMs: LIMIT_MS };

  test('gets the new requests, while the old one ends what it has and then ends itself', async () => {
    const { first, place, states } = await started();
    const old = first.pid;
    const running = ask(place, untilMark());
    const { ended } = await place.replaceBeside(engine('ready-second'), beside);
    expect(place.model).toMatchObject({ id: 'ready-second', contextSize: 32 });
    expect(place.pid).not.toBe(old);
    expect(place.status()).toMatchObject({ state: 'ready', running: 1 });
    finish();
    expect((await ask(place, untilMark())).at(-1)).toMatchObject({ type: 'end' });
    expect((await running).at(-1)).toMatchObject({ type: 'end', finishReason: 'stop' });
    await ended;
    expect(gone(old)).toBe(true);
    expect(place.status()).toMatchObject({ state: 'ready', running: 0 });
    // Neither the new one's loading nor the old one's end is a state of the place.
    expect(new Set(states)).toEqual(new Set(['ready']));
  });

  test.each([
    ['cannot be loaded', 'unusable', answers, 'the file is no model'],
    ['dies while it loads', 'dies-loading', answers, 'SIGKILL'],
    ['does not answer', 'ready-second', isSilent, 'it says nothing'],
  ])('that %s changes nothing', async (_name, behaviour, prove, reason) => {
    const { first, place, states } = await started();
    const next = engine(behaviour);
    await expect(place.replaceBeside(next, { ...beside, prove })).rejects.toThrow(reason);
    expect([place.model.id, place.pid]).toEqual(['ready-first', first.pid]);
    expect(next.pid).toBeUndefined();
    finish();
    expect((await ask(place, untilMark())).at(-1)).toMatchObject({ type: 'end' });
    expect(states).toEqual(['ready']);
  });

  test('is stopped with the other when the service ends in the middle', async () => {
    const { first, place } = await started();
    const next = engine('loads-for-ever');
    const switching = place.replaceBeside(next, beside);
    await until(() => next.pid !== undefined);
    const pids = [first.pid, next.pid];
    await Promise.all([place.stop(), expect(switching).rejects.toThrow(/stopped while it started/)]);
    await until(() => pids.every(gone));
  });
});

describe('an engine in the place of the one that runs', () => {
  test('answers the requests that waited for it; those before it end on the old one', async () => {
    const { first, place, states } = await started();
    const [old, running] = [first.pid, ask(place, untilMark())];
    await until(() => place.status().running === 1);
    const switching = place.replaceInPlace(engine('ready-second'), {
      memory: ALL_FREE,
      prove: answers,
      again: () => Promise.reject(new Error('not needed')),
      limitMs: LIMIT_MS,
    });
    expect(place.status()).toMatchObject({ state: 'switching', running: 1, waiting: 0 });
    const waiting = ask(place, untilMark());
    const controller = new AbortController();
    const leaving = ask(place, untilMark(), controller.signal);
    expect(place.status().waiting).toBe(2);
    controller.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    expect(place.status().waiting).toBe(1);
    finish();
    await switching;
    expect(gone(old)).toBe(true);
    expect((await running).at(-1)).toMatchObject({ type: 'end' });
    expect((await waiting).at(-1)).toMatchObject({ type: 'end' });
    expect(place.model.id).toBe('ready-second');
    expect([states[0], states.at(-1)]).toEqual(['ready', 'ready']);
    expect(states).not.toContain('stopped');
    expect(states).not.toContain('failed');
  });

  test('that does not answer makes room for one like the old, which answers those who waited', async () => {
    const { place, states } = await started();
    const switching = place.replaceInPlace(engine('unusable'), {
      memory: ALL_FREE,
      prove: answers,
      again: () => Promise.resolve(engine('ready-first')),
      limitMs: LIMIT_MS,
    });
    const waiting = ask(place, untilMark());
    await expect(switching).rejects.toThrow('the file is no model');
    finish();
    expect((await waiting).at(-1)).toMatchObject({ type: 'end' });
    expect(place.model.id).toBe('ready-first');
    expect(place.status().state).toBe('ready');
    expect(states).not.toContain('failed');
  });

  test('says so when not even the old one comes back', async () => {
    const { place, states } = await started();
    const switching = place.replaceInPlace(engine('unusable'), {
      memory: ALL_FREE,
      prove: answers,
      again: () => Promise.resolve(engine('dies-loading')),
      limitMs: LIMIT_MS,
    });
    const waiting = ask(place, untilMark());
    await Promise.all([
      expect(switching).rejects.toThrow('SIGKILL'),
      expect(waiting).rejects.toMatchObject({ code: 'engine_unavailable' }),
    ]);
    expect(states.at(-1)).toBe('failed');
  });
});
