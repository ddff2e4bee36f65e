import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { neverEnds, says, ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();
const folder = temporaryFolder();

const MESSAGES = [{ role: 'user', content: 'Hi' }];

function named(id: string, engine = new ScriptedEngine(says(`${id} speaks`))): ScriptedEngine {
  engine.model = { ...engine.model, id };
  return engine;
}

const CONFIG = { models: [{ model_path: '/other.gguf' }] };

async function startTwo(first = named('one'), second = named('two'), stateDirectory?: string) {
  const options = { engine: first, others: [second], config: CONFIG };
  return startTestService({ ...options, ...(stateDirectory === undefined ? {} : { stateDirectory }) });
}

describe('several models', () => {
  test('are listed, and the request chooses', async () => {
    const { call } = await startTwo();
    const { data } = (await (await call('/v1/models')).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['one', 'two']);
    expect((await call('/v1/models/two')).status).toBe(200);
    for (const model of ['one', 'two']) {
      const answer = await (await call('/v1/chat/completions', { model, messages: MESSAGES })).json();
      expect(answer).toMatchObject({ model, choices: [{ message: { content: `${model} speaks` } }] });
    }
    const unnamed = await (await call('/api/v1/chat', { messages: MESSAGES })).json();
    expect(unnamed).toMatchObject({ model: 'one' });
  });

  test('an unknown one is not found, and the answer names those that are', async () => {
    const { call } = await startTwo();
    for (const response of [
      await call('/v1/chat/completions', { model: 'three', messages: MESSAGES }),
      await call('/v1/models/three'),
    ]) {
      expect([response.status, await response.json()]).toMatchObject([
        404,
        { error: { code: 'model_not_found', message: expect.stringContaining('available: one, two') } },
      ]);
    }
  });

  test('answer each for itself: one that is not ready does not hold up the other', async () => {
    const second = named('two');
    second.state = 'restarting';
    const { call, url } = await startTwo(named('one'), second);
    expect((await call('/v1/chat/completions', { model: 'two', messages: MESSAGES })).status).toBe(503);
    expect((await call('/v1/chat/completions', { model: 'one', messages: MESSAGES })).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  test('have a line each, and share what the access policy allows', async () => {
    writeFileSync(join(folder(), 'policy.yaml'), 'sessions: { overall: 2 }\n');
    const [first, second] = [named('one', new ScriptedEngine(neverEnds())), named('two')];
    const { call, server } = await startTwo(first, second, folder());
    const ask = (model: string) => call('/v1/chat/completions', { model, messages: MESSAGES, stream: true });
    const running = [await ask('one'), await ask('one')];
    const third = await ask('two');
    expect([third.status, await third.json()]).toMatchObject([429, { error: { code: 'too_many_sessions' } }]);
    await server.close(0);
    await Promise.all(running.map((response) => response.text()));
  });

  test('are told apart by metrics, status and the document of the API', async () => {
    const second = named('two');
    const { call, consoleUrl, url } = await startTwo(named('one'), second);
    await (await call('/v1/chat/completions', { model: 'two', messages: MESSAGES })).text();
    second.changeState('failed', 'it broke');
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const line of [
      'botstack_engine_ready{model="one"} 1',
      'botstack_engine_ready{model="two"} 0',
      'botstack_generation_tokens_total{model="one"} 0',
      'botstack_generation_tokens_total{model="two"} 1',
      'botstack_e2e_request_latency_seconds_count{model="two"} 1',
    ])
      expect(metrics.split('\n')).toContain(line);
    expect(
      await (
        await fetch(`${consoleUrl}/admin/status`, { headers: { Authorization: `Bearer ${API_KEY}` } })
      ).json(),
    ).toMatchObject({
      ready: true,
      model: { id: 'one' },
      other_models: [{ model: { id: 'two' }, engine: { state: 'failed', reason: 'it broke' } }],
    });
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
      paths: Record<string, { get: { parameters: { schema: { enum: string[] } }[] } }>;
    };
    expect(document.paths['/v1/models/{id}']?.get.parameters[0]?.schema.enum).toEqual(['one', 'two']);
  });

  test('a door that is shut at the end is shut for all', async () => {
    const slow = new ScriptedEngine(neverEnds());
    const { call, server } = await startTwo(named('one'), named('two', slow));
    const answer = await call('/v1/chat/completions', { model: 'two', messages: MESSAGES, stream: true });
    const closed = server.close(100);
    await closed;
    await answer.text().catch(() => undefined);
    await until(() => slow.cancelled.length === 1);
  });
});
