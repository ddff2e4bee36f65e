import { signAccessToken } from '../../../runtime/src/access/access-token';
import { neverStarts, ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const PATH = '/operator/model';
const ORDER = { path: '/models/new.gguf' };

const orders: unknown[] = [];
beforeEach(() => orders.splice(0));

/** With a switch that says one step, and refuses the path /bad. */
const start = () =>
  startTestService({
    switchModel: (order, say) => {
      orders.push(order);
      say('one step');
      return order.path === '/bad' ? Promise.reject(new Error('it is bad')) : Promise.resolve('new');
    },
  });

describe('an order to switch models', () => {
  test('is followed line by line', async () => {
    const { call, logged } = await start();
    const response = await call(PATH, { ...ORDER, name: 'new', replaces: 'old' });
    expect(response.headers.get('content-type')).toMatch(/ndjson/);
    const lines = (await response.text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([{ step: 'one step' }, { model: 'new' }]);
    expect(orders).toEqual([{ ...ORDER, name: 'new', replaces: 'old' }]);
    expect(
      logged().some((line) => /\[SEC\] .*user=api-key orders a switch to \/models\/new/.test(line)),
    ).toBe(true);
    const bad = await (await call(PATH, { path: '/bad' })).text();
    expect(bad).toContain('{"error":"it is bad"}');
  });

  test('comes from this machine only, and from an administrator', async () => {
    const { call, consoleUrl } = await start();
    const proxied = {
      headers: { 'X-Forwarded-For': '203.0.113.9' },
      method: 'POST',
      body: JSON.stringify(ORDER),
    };
    expect((await call(PATH, undefined, proxied)).status).toBe(404);
    expect((await fetch(consoleUrl + PATH, { method: 'POST' })).status).toBe(404);
    expect(
      (await call(PATH, ORDER, { headers: { Authorization: 'Bearer wrong-key-0123456789' }, method: 'POST' }))
        .status,
    ).toBe(401);
    const { token } = await signAccessToken(API_KEY, 'u', 60, ['chat']);
    const chatOnly = {
      headers: { Authorization: `Bearer ${token}` },
      method: 'POST',
      body: JSON.stringify(ORDER),
    };
    expect((await call(PATH, undefined, chatOnly)).status).toBe(403);
    expect(orders).toEqual([]);
  });

  test.each([[{ path: 'relative.gguf' }], [{ ...ORDER, name: 'a\nb' }], [{ ...ORDER, force: true }], [{}]])(
    'is refused as %j',
    async (body) => {
      const { call } = await start();
      expect((await call(PATH, body)).status).toBe(400);
      expect(orders).toEqual([]);
    },
  );

  test('does not exist where models cannot be switched', async () => {
    const { call } = await startTestService();
    expect((await call(PATH, ORDER)).status).toBe(404);
  });
});

test('while models change places, requests wait in the line, and beyond it get 429', async () => {
  const engine = new ScriptedEngine(neverStarts());
  engine.state = 'switching';
  const { call, url, server } = await startTestService({ engine, config: { limits: { max_queue: 1 } } });
  const ask = () =>
    call('/v1/chat/completions', { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] });
  const inside = [ask(), ask(), ask()];
  await until(() => engine.requests.length === 3);
  const beyond = await ask();
  expect([beyond.status, beyond.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)]);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  await server.close(0);
  expect((await Promise.all(inside)).map(({ status }) => status)).toEqual([503, 503, 503]);
});
