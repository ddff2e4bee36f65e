import { signAccessToken } from '../../../runtime/src/access/access-token';
import type { Scope } from '../../../runtime/src/access/scopes';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();
const folder = temporaryFolder();

const bearer = (credential: string) => ({
  Authorization: `Bearer ${credential}`,
  'Content-Type': 'application/json',
});
const tokenFor = async (...scopes: Scope[]) => (await signAccessToken(API_KEY, 'ada', 60, scopes)).token;

describe('scopes', () => {
  const CHAT = JSON.stringify({ model: 'test-model', messages: [{ role: 'user', content: 'hi' }] });
  const ROUTES: readonly [string, string, RequestInit][] = [
    ['chat', '/v1/chat/completions', { method: 'POST', body: CHAT }],
    ['chat', '/api/v1/chat', { method: 'POST', body: CHAT }],
    ['chat', '/v1/models', {}],
    ['metrics:read', '/metrics', {}],
    ['logs:read', '/admin/logs', {}],
    ['admin', '/admin/tokens', {}],
  ];

  test.each<Scope>(['chat', 'logs:read', 'metrics:read', 'admin'])(
    '%s opens what it should',
    async (scope) => {
      const { consoleUrl } = await startTestService({ stateDirectory: folder() });
      const headers = { ...bearer(await tokenFor(scope)), 'X-Forwarded-For': '203.0.113.9' };
      for (const [needed, path, init] of ROUTES) {
        const { status } = await fetch(consoleUrl + path, { ...init, headers });
        expect([path, status]).toEqual([path, scope === 'admin' || scope === needed ? 200 : 403]);
      }
      expect((await fetch(`${consoleUrl}/admin/status`, { headers })).status).toBe(200);
    },
  );

  test('several in one token add up', async () => {
    const { consoleUrl } = await startTestService();
    const headers = bearer(await tokenFor('chat', 'logs:read'));
    expect((await fetch(`${consoleUrl}/v1/models`, { headers })).status).toBe(200);
    expect((await fetch(`${consoleUrl}/admin/logs`, { headers })).status).toBe(200);
  });

  test('the administrator’s routes are on the console’s port only', async () => {
    const { call } = await startTestService({ stateDirectory: folder() });
    expect((await call('/admin/tokens')).status).toBe(404);
  });
});

describe('tokens in the console', () => {
  async function start() {
    const service = await startTestService({ stateDirectory: folder() });
    const admin = (path: string, init: RequestInit = {}) =>
      fetch(service.consoleUrl + path, { ...init, headers: bearer(API_KEY) });
    const issue = (body: object) => admin('/admin/tokens', { method: 'POST', body: JSON.stringify(body) });
    return { ...service, admin, issue };
  }

  test('are issued, listed, used, revoked; and each change is a SEC line', async () => {
    const { admin, issue, url, logged } = await start();
    const answer = await issue({ user: 'ada', scopes: ['chat'], expiry_seconds: 600 });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const { token, id } = (await answer.json()) as { token: string; id: string };
    expect((await fetch(`${url}/v1/models`, { headers: bearer(token) })).status).toBe(200);

    const { tokens } = (await (await admin('/admin/tokens')).json()) as { tokens: object[] };
    expect(tokens).toEqual([
      {
        id,
        user: 'ada',
        scopes: ['chat'],
        issued_at: expect.any(Number),
        expires_at: expect.any(Number),
        revoked_at: null,
        issued_by: 'api-key',
      },
    ]);

    expect((await admin(`/admin/tokens/${id}`, { method: 'DELETE' })).status).toBe(204);
    const refused = await fetch(`${url}/v1/models`, { headers: bearer(token) });
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({ error: { code: 'token_revoked' } });
    await until(() => logged().some((line) => line.includes('error=token_revoked')));
    expect(logged().filter((line) => line.includes('[SEC]')).length).toBe(3);
    expect(logged().join()).not.toContain(token);
  });

  test('of one user are revoked together', async () => {
    const { admin, issue } = await start();
    for (const user of ['ada', 'ada', 'bob']) await issue({ user });
    const answer = await admin('/admin/tokens?user=ada', { method: 'DELETE' });
    expect(await answer.json()).toEqual({ revoked: 2 });
  });

  test.each([
    [{}, 'missing_parameter', 'user'],
    [{ user: 'a b' }, 'invalid_value', 'user'],
    [{ user: 'ada', scopes: ['root'] }, 'invalid_value', 'scopes[0]'],
    [{ user: 'ada', scopes: [] }, 'invalid_value', 'scopes'],
    [{ user: 'ada', expiry_seconds: 7776001 }, 'invalid_value', 'expiry_seconds'],
    [{ user: 'ada', scope: 'chat' }, 'unknown_parameter', 'scope'],
  ])('refuses to issue %j', async (body, code, param) => {
    const { issue } = await start();
    const answer = await issue(body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code, param } });
  });

  test('says what cannot be revoked', async () => {
    const { admin } = await start();
    expect((await admin('/admin/tokens/none', { method: 'DELETE' })).status).toBe(404);
    expect((await admin('/admin/tokens', { method: 'DELETE' })).status).toBe(400);
  });

  test('need a folder to be kept in', async () => {
    const { consoleUrl } = await startTestService();
    const answer = await fetch(`${consoleUrl}/admin/tokens`, { headers: bearer(API_KEY) });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ error: { code: 'no_state_directory' } });
  });
});
