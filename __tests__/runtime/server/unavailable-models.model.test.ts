/** Models that go away, or are not there yet: the service stays, says so, and has them back by itself. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { killAllOf } from '../../support/processes-of-folder';
import { writeTinyModel } from '../../support/tiny-models';
import { refuse, RemoteService } from '../support/remote-service';
import { BOT, spawnService, type SpawnedService } from '../support/spawned-service';
import { API_KEY, until } from '../support/test-service';

jest.setTimeout(120_000);

let folder: string;
let service: SpawnedService;
const path = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'unavailable-'));
  mkdirSync(path('run'));
});
afterEach(async () => {
  await service.dispose();
  await killAllOf(folder);
  rmSync(folder, { recursive: true, maxRetries: 5, retryDelay: 50 });
});

const chat = (model: string) =>
  fetch(`${service.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Go on.' }], max_tokens: 1 }),
  });
const status = async (model: string) => {
  const response = await chat(model);
  await response.text();
  return response.status;
};
const probe = async () => (await fetch(`${service.url}/readyz`)).status;

describe('a remote service that is the default model', () => {
  let remote: RemoteService;
  let endpoint: string;
  beforeEach(async () => {
    remote = new RemoteService();
    await remote.start();
    ({ endpoint } = remote);
  });
  afterEach(() => remote.stop());

  const start = async () => {
    const env = { RUNTIME_DIRECTORY: path('run') };
    const auth = { type: 'bearer', token: 'x' };
    const config = { model_name: 'far', remote_service: { endpoint, auth, retries: 0 } };
    service = await spawnService(folder, config, env);
  };

  test.each([
    ['cannot be reached', () => remote.stop(), /\[ERR\] .*ECONNREFUSED.*; trying again in 5 s/],
    [
      'refuses the credentials',
      () => void (remote.answer = refuse(401)),
      /\[ERR\] .*credentials \(401\).*; trying again in 5 s/,
    ],
  ])('that %s at first: 503 until it answers', async (_what, breakIt, says) => {
    const { answer } = remote;
    await breakIt();
    await start();
    await until(() => /\[WRN\] not ready: failed: /.test(service.output()));
    expect(service.output()).toMatch(says);
    expect(await probe()).toBe(503);
    const refused = await chat('far');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^[345]$/);

    remote.answer = answer;
    await remote.stop();
    await remote.start();
    await service.ready();
    expect(await status('far')).toBe(200);
  });

  test('takes no place of a process that answers', async () => {
    await start();
    await service.ready();
    await until(() => /\[INF\] ready: far/.test(service.output()));
    const config = readFileSync(service.configFile, 'utf8');
    writeFileSync(service.configFile, config.replace(endpoint, 'http://127.0.0.1:9/v1/chat'));
    const env = { PATH: process.env['PATH'], TEST_KEY: API_KEY, RUNTIME_DIRECTORY: path('run') };
    const args = [BOT, 'reload', '--config', service.configFile];
    const reload = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    expect(reload.stderr).toMatch(/ECONNREFUSED/);
    expect(reload.status).toBe(1);
    expect(service.process.exitCode).toBe(null);
    expect(await probe()).toBe(200);
  });
});

test('a local default model that cannot be loaded again: the others go on, and it comes back with its file', async () => {
  writeTinyModel(path('one.gguf'), 'phi3');
  writeTinyModel(path('two.gguf'), 'phi3');
  service = await spawnService(folder, {
    model_path: path('one.gguf'),
    models: [{ model_path: path('two.gguf') }],
    engine: { context_size: 512, sequences: 2, threads: 1 },
  });
  await service.ready();
  await until(() => /\[INF\] ready: one/.test(service.output()));
  renameSync(path('one.gguf'), path('gone'));
  process.kill(Math.min(...service.children()), 'SIGKILL');
  await until(() => /\[ERR\] .*there is no file .*one\.gguf.*; trying again in 5 s/.test(service.output()));
  expect(await probe()).toBe(503);
  expect(await status('two')).toBe(200);
  const refused = await chat('one');
  expect(refused.status).toBe(503);
  expect(refused.headers.get('retry-after')).toMatch(/^[345]$/);

  renameSync(path('gone'), path('one.gguf'));
  await service.ready();
  expect(await status('one')).toBe(200);
});
