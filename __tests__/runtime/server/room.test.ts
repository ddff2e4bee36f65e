/** Room for another process: an engine that is given up, and comes back where that process does not take over. */
import { setTimeout as sleep } from 'node:timers/promises';

import { modelsOf } from '../../../runtime/src/config/models';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { createLogger } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';
import { Room } from '../../../runtime/src/server/handover/room';
import { listen, type Listener } from '../../../runtime/src/server/listen';
import type { RunningServer } from '../../../runtime/src/server/server';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { ScriptedEngine } from '../support/scripted-engine';
import { testConfig } from '../support/test-service';

class Local extends ScriptedEngine {
  readonly pid = undefined;
}

let listener: Listener;
afterEach(() => listener.close());

async function make(failures: number) {
  listener = await listen((_request, response) => response.end('here'), 0, 'x');
  const made: Local[] = [];
  const engine = new SwitchableEngine(new Local());
  const [config] = modelsOf(testConfig({ model_path: '/a.gguf' }));
  const ring = createLogRing();
  const room = new Room({
    server: {
      listeners: new Map([[listener.port, listener]]),
      quiet: () => Promise.resolve(),
    } as unknown as RunningServer,
    models: new ServedModels([{ config: config!, engine }], 1),
    factory: {
      local: () => {
        const next = new Local();
        if (made.length < failures) next.onStart = () => Promise.reject(new Error('no memory'));
        made.push(next);
        return Promise.resolve(next);
      },
      remote: () => Promise.reject(new Error('none here')),
      estimate: () => Promise.resolve([]),
    },
    log: createLogger([ring]),
  });
  const ask = async () => (await fetch(`http://127.0.0.1:${listener.port}/`)).text();
  return { room, engine, made, ask, logged: () => ring.lines().join('\n') };
}

test('who asks waits while there is none, and is answered when it comes back, also at the second try', async () => {
  const { room, engine, made, ask, logged } = await make(1);
  await room.make(1000);
  expect(room.isMade).toBe(true);
  expect(engine.status().state).toBe('switching');
  let answer = '';
  const asked = ask().then((text) => (answer = text));
  await sleep(100);
  expect(answer).toBe('');
  await room.takeBack();
  await asked;
  expect(answer).toBe('here');
  expect(made).toHaveLength(2);
  expect(engine.status().state).toBe('ready');
  expect(room.isMade).toBe(false);
  expect(logged()).toMatch(/\[WRN\] reload: the engine does not come back, trying again: no memory/);
});

test('an engine that never comes back is no secret', async () => {
  const { room } = await make(Infinity);
  await room.make(1000);
  await expect(room.takeBack()).rejects.toThrow('no memory');
});
