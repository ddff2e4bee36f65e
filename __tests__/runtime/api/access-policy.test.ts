/** Limits on sessions and requests, and the policy as the console changes it. The words: word-rules.test.ts. */
import { signAccessToken } from '../../../runtime/src/access/access-token';
import { BLOCK, body, CHAT, MASK, policyServices, read } from '../support/policy-service';
import { neverEnds, ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, eventsOf, until } from '../support/test-service';

const { start } = policyServices();

describe('session limits', () => {
  const tokenOf = async (user: string) => (await signAccessToken(API_KEY, user, 60)).token;
  const ask = (url: string, token: string) =>
    fetch(url + CHAT, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body('hi', { stream: true })),
    });

  test('hold for each token, with exceptions for a user, and free a place when a request ends', async () => {
    const engine = new ScriptedEngine(neverEnds());
    const { url } = await start({ sessions: { per_token: 1 }, users: { bob: { per_token: 2 } } }, engine);
    const [ada, other, bob] = [await tokenOf('ada'), await tokenOf('ada'), await tokenOf('bob')];
    const first = await ask(url, ada);
    expect(first.status).toBe(200);
    const refused = await ask(url, ada);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await read(refused)).toMatchObject({
      error: {
        code: 'too_many_sessions',
        message: expect.stringMatching(/^1 request under way with this token, .* in \d+ seconds?$/),
      },
    });
    // Another token of the same user has a share of its own; bob may have two.
    const open = [await ask(url, other), await ask(url, bob), await ask(url, bob)];
    expect(open.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect((await ask(url, bob)).status).toBe(429);
    await first.body?.cancel();
    await until(() => engine.cancelled.length === 1);
    const again = await ask(url, ada);
    expect(again.status).toBe(200);
    for (const response of [again, ...open]) await response.body?.cancel();
  });

  test('hold in all', async () => {
    const { url } = await start({ sessions: { overall: 1 } }, new ScriptedEngine(neverEnds()));
    const first = await ask(url, await tokenOf('ada'));
    const refused = await ask(url, await tokenOf('bob'));
    expect(refused.status).toBe(429);
    expect((await read(refused)).error?.message).toContain('in all');
    await first.body?.cancel();
  });
});

describe('the longest request', () => {
  const LIMIT = { sessions: { longest_request_seconds: 1 } };

  test('ends with what it has, and says why', async () => {
    const { call, logged } = await start(LIMIT, new ScriptedEngine(neverEnds()));
    const answer = await read(await call(CHAT, body('hi')));
    expect(answer.choices[0]?.finish_reason).toBe('length');
    expect(answer.choices[0]?.message.content).toMatch(/^x+$/);
    expect(answer.warning).toMatch(/may take 1 second$/);
    const streamed = eventsOf(await (await call(CHAT, body('hi', { stream: true }))).text());
    expect(streamed.at(-2)).toContain('"warning"');
    await until(() => logged().some((line) => line.includes('deadline=reached')));
  });

  test('is an error that clients do not try again, if nothing came', async () => {
    const engine = new ScriptedEngine(neverEnds(60_000));
    const { call } = await start(LIMIT, engine);
    const answer = await call(CHAT, body('hi'));
    expect(answer.status).toBe(504);
    expect(answer.headers.get('x-should-retry')).toBe('false');
    expect(await read(answer)).toMatchObject({ error: { code: 'request_timeout' } });
  });
});

describe('the console’s API for the policy', () => {
  async function startConsole() {
    const service = await start({ words: [MASK] });
    const admin = (init: RequestInit = {}, credential = API_KEY) =>
      fetch(`${service.consoleUrl}/admin/policy`, {
        ...init,
        headers: { Authorization: `Bearer ${credential}`, 'Content-Type': 'application/json' },
      });
    const put = (value: unknown) => admin({ method: 'PUT', body: JSON.stringify(value) });
    const current = async () => (await (await admin()).json()) as { policy: object; revision: string };
    return { ...service, admin, put, current };
  }

  test('reads and replaces it, in force at once, with a SEC line', async () => {
    const { put, current, call, logged } = await startConsole();
    const { policy, revision } = await current();
    expect(policy).toMatchObject({ words: [{ name: 'names', on: ['input', 'output'], match: 'word' }] });
    const answer = await put({ policy: { words: [BLOCK] }, revision });
    expect(answer.status).toBe(200);
    expect((await call(CHAT, body('bomb'))).status).toBe(400);
    expect(logged().some((line) => /\[SEC\] .*user=api-key replaced the access policy/.test(line))).toBe(
      true,
    );
    expect((await put({ policy: {}, revision })).status).toBe(409);
  });

  test('refuses what is wrong, by name, and changes nothing', async () => {
    const { put, current } = await startConsole();
    const before = await current();
    const answer = await put({ policy: { sessions: { per_token: 0 } }, revision: before.revision });
    expect(answer.status).toBe(400);
    expect((await read(answer)).error).toMatchObject({
      code: 'invalid_policy',
      message: expect.stringContaining('sessions.per_token'),
    });
    expect((await put({ revision: before.revision })).status).toBe(400);
    expect(await current()).toEqual(before);
  });

  test('needs the scope admin', async () => {
    const { admin } = await startConsole();
    expect((await admin({}, await tokenFor('chat'))).status).toBe(403);
    expect((await admin({}, await tokenFor('admin'))).status).toBe(200);
  });
});

const tokenFor = async (scope: 'chat' | 'admin') =>
  (await signAccessToken(API_KEY, 'ada', 60, [scope])).token;
