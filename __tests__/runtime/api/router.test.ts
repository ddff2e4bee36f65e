import { gzipSync } from 'node:zlib';

import { startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const CHAT = '/v1/chat/completions';
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string; type: string; param: unknown } })
    .error;

describe('bodies', () => {
  test('that are too large get 413', async () => {
    const { call } = await startTestService();
    const response = await call(CHAT, { messages: 'x'.repeat(1_100_000) });
    expect([response.status, (await errorOf(response)).code]).toEqual([413, 'payload_too_large']);
  });

  test('that grow too large when unpacked get 413', async () => {
    const { call } = await startTestService();
    const response = await call(CHAT, undefined, {
      method: 'POST',
      body: gzipSync(`{"messages":"${'x'.repeat(2_000_000)}"}`),
      headers: { 'Content-Encoding': 'gzip' },
    });
    expect(response.status).toBe(413);
  });

  test.each([
    ['broken JSON', '{"model": ', 400, 'invalid_json'],
    ['no JSON at all', 'hello', 400, 'invalid_json'],
    ['nothing', '', 400, 'invalid_json'],
    ['a JSON text', '"hello"', 400, 'invalid_value'],
  ])('with %s are refused', async (_what, body, status, code) => {
    const { call } = await startTestService();
    const response = await call(CHAT, undefined, { method: 'POST', body });
    expect([response.status, (await errorOf(response)).code]).toEqual([status, code]);
  });

  test.each<[string, RequestInit['body'], string, RegExp]>([
    ['of nothing', '', '', /it is empty$/],
    ['that only claim to be compressed', 'plain', 'gzip', /says Content-Encoding: gzip, but it is not/],
    [
      'of bytes that are no UTF-8',
      Buffer.from('7b226d6f64656c223a22c328227d', 'hex'),
      '',
      /it is not valid UTF-8$/,
    ],
  ])('%s are refused with the reason', async (_what, body, encoding, reason) => {
    const { call } = await startTestService();
    const headers: Record<string, string> = encoding === '' ? {} : { 'Content-Encoding': encoding };
    const response = await call(CHAT, undefined, { method: 'POST', body, headers });
    const { code, message } = await errorOf(response);
    expect([response.status, code]).toEqual([400, 'invalid_json']);
    expect(message).toMatch(reason);
  });

  test('with a number that is too large to be read are refused with a word for it', async () => {
    const { call } = await startTestService();
    const body = '{"model":"test-model","messages":[{"role":"user","content":"x"}],"temperature":1e400}';
    const { message } = await errorOf(await call(CHAT, undefined, { method: 'POST', body }));
    expect(message).toMatch(/from 0 to 2, got "a number too large to be read"$/);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json; charset=koi8-x',
    'application/json; charset=utf-16',
    '',
  ])('of type %s get 415', async (type) => {
    const { call } = await startTestService();
    const response = await call(CHAT, undefined, {
      method: 'POST',
      body: '{}',
      headers: { 'Content-Type': type },
    });
    expect([response.status, (await errorOf(response)).code]).toEqual([415, 'unsupported_media_type']);
  });

  test('are not read before the key is checked', async () => {
    const { call } = await startTestService();
    const response = await call(CHAT, undefined, {
      method: 'POST',
      body: '{',
      headers: { Authorization: '' },
    });
    expect(response.status).toBe(401);
  });
});

describe('routes', () => {
  test.each([
    ['GET', CHAT, 'POST'],
    ['PUT', '/api/v1/chat', 'POST'],
    ['POST', '/v1/models', 'GET, HEAD'],
    ['DELETE', '/health', 'GET, HEAD, POST'],
    ['POST', '/readyz', 'GET, HEAD'],
    ['POST', '/metrics', 'GET, HEAD'],
  ])('%s %s gets 405 with Allow', async (method, path, allow) => {
    const { call } = await startTestService();
    const response = await call(path, undefined, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
    expect((await errorOf(response)).code).toBe('method_not_allowed');
  });

  test('unknown paths get 404 with the routes there are', async () => {
    const { call } = await startTestService();
    for (const path of ['/', '/v1/edits', '/admin/status', '/v1/chat/completions/x']) {
      const response = await call(path);
      expect(response.status).toBe(404);
      expect((await errorOf(response)).message).toMatch(
        /POST \/v1\/chat\/completions, .*POST \/api\/v1\/chat, /,
      );
    }
  });

  test('a path with a broken escape gets 400', async () => {
    const { call } = await startTestService();
    expect((await call('/v1/models/%E0%A4%A')).status).toBe(400);
  });

  test('models are listed and found by name', async () => {
    const { call } = await startTestService();
    const entry = { id: 'test-model', object: 'model', created: expect.any(Number), owned_by: 'botstack' };
    expect(await (await call('/v1/models')).json()).toEqual({ object: 'list', data: [entry] });
    expect(await (await call('/v1/models/test-model')).json()).toEqual(entry);
    const missing = await call('/v1/models/org/other');
    expect(missing.status).toBe(404);
    expect(await errorOf(missing)).toMatchObject({ code: 'model_not_found', param: 'model' });
  });
});

describe('probes', () => {
  test('/health answers GET and POST without a key, whatever the engine does', async () => {
    const { url, engine } = await startTestService();
    engine.changeState('failed');
    for (const method of ['GET', 'POST']) {
      const response = await fetch(`${url}/health`, { method });
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    }
  });

  test('/readyz is 200 only while the engine is ready, and tells nothing more', async () => {
    const { url, engine } = await startTestService();
    const probe = async () => {
      const response = await fetch(`${url}/readyz`);
      return [response.status, await response.json()];
    };
    expect(await probe()).toEqual([200, { status: 'ready' }]);
    engine.changeState('restarting', 'killed by signal 9');
    expect(await probe()).toEqual([503, { status: 'not ready' }]);
  });

  test('leave no line in the log, however often somebody asks', async () => {
    const { url, call, engine, logged } = await startTestService();
    await (await fetch(`${url}/health`)).text();
    await (await fetch(`${url}/metrics`)).text();
    engine.changeState('loading');
    await (await fetch(`${url}/readyz`)).text();
    await (await call('/v1/models')).text();
    await until(() => logged().length > 0);
    expect(logged()).toEqual([expect.stringMatching(/GET \/v1\/models 200/)]);
  });
});

describe('every answer', () => {
  test('carries a request id: the client’s own if it is safe, else a new one', async () => {
    const { url } = await startTestService();
    const idFor = async (id: string) =>
      (await fetch(`${url}/health`, { headers: { 'X-Request-Id': id } })).headers.get('x-request-id');
    expect(await idFor('abc-1.2_3')).toBe('abc-1.2_3');
    for (const bad of ['a b', 'x'.repeat(65), 'a;b', '[SEC]']) {
      expect(await idFor(bad)).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    }
  });

  test('gives browsers nothing to misuse, and does not say what serves it', async () => {
    const { url } = await startTestService();
    const { headers } = await fetch(`${url}/health`);
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect(headers.get('strict-transport-security')).toBeNull();
  });
});
