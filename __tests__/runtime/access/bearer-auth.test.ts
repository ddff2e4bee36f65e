import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { signAccessToken } from '../../../runtime/src/access/access-token';
import { API_KEY, literalKeys, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const models = (url: string, authorization?: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/models`, {
    headers: authorization === undefined ? headers : { ...headers, Authorization: authorization },
  });

const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code;

describe('authentication', () => {
  test('accepts an API key and an access token, and logs who it was', async () => {
    const service = await startTestService();
    const { token } = await signAccessToken(API_KEY, 'ada', 60);
    expect((await models(service.url, `Bearer ${API_KEY}`)).status).toBe(200);
    expect((await models(service.url, `bearer  ${token}`)).status).toBe(200);
    await until(() => service.logged().length === 2);
    expect(service.logged()[0]).toMatch(/\[INF\] req=\S+ user=api-key GET \/v1\/models 200/);
    expect(service.logged()[1]).toMatch(/user=ada /);
  });

  test('accepts the previous key and tokens signed from it', async () => {
    const previous = 'previous-key-0123456789';
    const service = await startTestService({ keys: await literalKeys(API_KEY, previous) });
    const { token } = await signAccessToken(previous, 'ada', 60);
    expect((await models(service.url, `Bearer ${previous}`)).status).toBe(200);
    expect((await models(service.url, `Bearer ${token}`)).status).toBe(200);
  });

  test.each([
    ['no header', undefined, 'missing_api_key', 'Bearer realm="botstack"'],
    ['another scheme', `Basic ${API_KEY}`, 'missing_api_key', 'Bearer realm="botstack"'],
    ['an empty token', 'Bearer ', 'missing_api_key', 'Bearer realm="botstack"'],
    ['a wrong key', `Bearer ${API_KEY}x`, 'invalid_api_key', /error="invalid_token"/],
    ['a token signed by nobody here', 'Bearer aaaa.bbbb.cccc', 'invalid_api_key', /error="invalid_token"/],
  ])('refuses %s', async (_what, authorization, code, challenge) => {
    const service = await startTestService();
    const response = await models(service.url, authorization);
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(challenge);
    expect(await codeOf(response)).toBe(code);
  });

  test('tells an expired token apart, and does not count it as guessing', async () => {
    const service = await startTestService();
    const { token } = await signAccessToken(API_KEY, 'ada', -10);
    for (let time = 0; time < 15; time++) {
      expect(await codeOf(await models(service.url, `Bearer ${token}`))).toBe('token_expired');
    }
  });

  test('refuses a token whose scope is another, with 403', async () => {
    const service = await startTestService();
    const { token } = await signAccessToken(API_KEY, 'ada', 60, ['metrics:read']);
    const response = await models(service.url, `Bearer ${token}`);
    expect(response.status).toBe(403);
    expect(response.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="chat"');
    expect(await codeOf(response)).toBe('insufficient_scope');
  });

  test('logs failures as SEC with the address and without the token', async () => {
    const service = await startTestService();
    await models(service.url, 'Bearer stolen-token-of-somebody', { 'X-Forwarded-For': '203.0.113.9' });
    await until(() => service.logged().length === 1);
    expect(service.logged()[0]).toMatch(
      /\[SEC\] req=\S+ user=- address=203\.0\.113\.9 GET \/v1\/models 401 error=invalid_api_key/,
    );
    expect(service.logged().join()).not.toContain('stolen');
  });

  test('locks out an address that guesses, by what the proxy says, and nobody else', async () => {
    const service = await startTestService();
    const from = (address: string, key: string) =>
      models(service.url, `Bearer ${key}`, { 'X-Forwarded-For': address });
    for (let time = 0; time < 11; time++)
      expect((await from('203.0.113.9', `guess-${time}`)).status).toBe(401);

    const locked = await from('203.0.113.9', API_KEY);
    expect(locked.status).toBe(429);
    expect(Number(locked.headers.get('retry-after'))).toBeGreaterThan(290);
    expect(await codeOf(locked)).toBe('too_many_failed_logins');
    expect((await from('203.0.113.10', API_KEY)).status).toBe(200);
    await until(() => service.logged().some((line) => /\[SEC\].* 429 /.test(line)));
  });

  test('lets those in who share a guesser’s address and hold what guessing cannot find', async () => {
    const generated = 'sk-0123456789abcdef0123456789abcdef';
    const service = await startTestService({ keys: await literalKeys(generated) });
    const { token } = await signAccessToken(generated, 'ada', 60);
    const lock = async () => {
      for (let time = 0; time < 11; time++) await models(service.url, `Bearer guess-${time}`);
    };
    await lock();
    expect((await models(service.url, `Bearer ${generated}`)).status).toBe(200);
    expect((await models(service.url, `Bearer ${token}`)).status).toBe(200);
    // What guesses go on with stays behind the lock, however long it is.
    expect((await models(service.url, `Bearer ${generated}x`)).status).toBe(429);
    expect((await models(service.url, 'Bearer short')).status).toBe(429);
  });

  test('at the console, believes what is said about the address only behind nginx', async () => {
    const lockedAfter11 = async (network: object) => {
      const { consoleUrl } = await startTestService({ config: { network } });
      for (let time = 0; time < 11; time++) {
        await models(consoleUrl, `Bearer guess-${time}`, { 'X-Forwarded-For': `203.0.113.${time}` });
      }
      return (await models(consoleUrl, `Bearer ${API_KEY}`, { 'X-Forwarded-For': '203.0.113.99' })).status;
    };
    expect(await lockedAfter11({})).toBe(429);
    expect(await lockedAfter11({ console_proxied: true })).toBe(200);
  });

  test('reads the keys again for one that it does not know: a rotation needs no restart', async () => {
    let stored = ['old-key-0123456789abc'];
    const keys = await ApiKeys.open({
      source: async () => stored,
      refreshIntervalMs: 300_000,
      unknownKeyIntervalMs: 0,
      onProblem: () => undefined,
    });
    const service = await startTestService({ keys });
    stored = ['new-key-0123456789abc', ...stored];
    expect((await models(service.url, `Bearer ${stored[0]}`)).status).toBe(200);
    const { token } = await signAccessToken('third-key-0123456789abc', 'ada', 60);
    stored = ['third-key-0123456789abc', ...stored];
    expect((await models(service.url, `Bearer ${token}`)).status).toBe(200);
    keys.close();
  });
});
