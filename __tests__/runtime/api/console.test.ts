import { join } from 'node:path';

import { API_KEY, startTestService, stopTestServices } from '../support/test-service';

stopTestServices();

const CONSOLE = join(__dirname, '../../../runtime/console');
const authorized = { headers: { Authorization: `Bearer ${API_KEY}` } };

describe('the console’s port', () => {
  test('serves the console’s files with a policy that lets nothing foreign in', async () => {
    const { consoleUrl } = await startTestService({ consoleDirectory: CONSOLE });
    const response = await fetch(`${consoleUrl}/`);
    expect(response.headers.get('content-type')).toMatch(/^text\/html/);
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).not.toMatch(/unsafe|\*/);
  });

  test('serves no file outside the folder, and no hidden one', async () => {
    const { consoleUrl } = await startTestService({ consoleDirectory: CONSOLE });
    for (const path of ['/..%2fpackage.json', '/%2e%2e/package.json', '/.env']) {
      expect((await fetch(consoleUrl + path)).status).toBe(404);
    }
  });

  test('has the API under the same paths, behind the same keys', async () => {
    const { consoleUrl } = await startTestService();
    expect((await fetch(`${consoleUrl}/v1/models`)).status).toBe(401);
    expect((await fetch(`${consoleUrl}/v1/models`, authorized)).status).toBe(200);
    expect((await fetch(`${consoleUrl}/health`)).status).toBe(200);
  });

  test('tells those with a key how the service is', async () => {
    const { consoleUrl, call, engine } = await startTestService();
    expect((await fetch(`${consoleUrl}/admin/status`)).status).toBe(401);
    await (await call('/v1/models')).text();
    engine.changeState('restarting', 'killed by signal 9');
    const response = await fetch(`${consoleUrl}/admin/status`, authorized);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.json()).toMatchObject({
      version: '0.0.0-test',
      service: { name: 'bot' },
      uptime_seconds: expect.any(Number),
      ready: false,
      model: { id: 'test-model', context_size: 4096, sequences: 2, notes: ['scripted'] },
      engine: { state: 'restarting', reason: 'killed by signal 9', running: 0, waiting: 0, restarts: 3 },
      limits: { max_queue: 16, max_request_seconds: 300, max_tokens: 2048, requests_allowed: 18 },
      scopes: 'all',
    });
    const log = await fetch(`${consoleUrl}/admin/logs`, authorized);
    expect(log.headers.get('cache-control')).toBe('no-store');
    expect(await log.json()).toEqual({
      lines: expect.arrayContaining([expect.stringMatching(/GET \/admin\/status 401/)]),
    });
  });

  test('is off when the configuration says 0', async () => {
    const { server } = await startTestService({ config: { network: { console_port: 0 } } });
    expect(server.consolePort).toBeUndefined();
  });
});
