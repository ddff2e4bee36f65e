/**
 * The compiled service with the real model while things around it break. What is not here has its test beside its part:
 * Redis in cache/, remote services in engine/remote-engine, the key's rotation in access/, slow and large senders in
 * ../cloud-init/nginx-hostile, an engine that is killed in service.model.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { testModel } from '../support/test-model';
import { spawnService, type SpawnedService } from './support/spawned-service';
import { API_KEY, eventsOf } from './support/test-service';

jest.setTimeout(240_000);

const QUESTION = [{ role: 'user', content: 'Count from one to fifty in words.' }];
const POLICY = 'words: [{ name: names, action: block, on: [input], words: [voldemort] }]\n';

let folder: string;
let logs: string;
let model: string;
let isMounted: boolean;
let service: SpawnedService;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'botstack-faults-'));
  logs = join(folder, 'logs');
  model = join(folder, 'model.gguf');
  mkdirSync(logs);
  // A disk of its own, and a small one. Who may not mount has no disk to fill.
  isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', logs]).status === 0;
  copyFileSync(testModel().path, model);
  writeFileSync(join(folder, 'policy.yaml'), POLICY);
  service = await spawnService(folder, {
    model_path: model,
    model_name: 'smollm2',
    engine: { context_size: 1024, sequences: 2 },
    logging: { directory: logs },
  });
  await service.ready();
});
afterAll(async () => {
  await service.dispose();
  if (isMounted) spawnSync('umount', [logs]);
  rmSync(folder, { recursive: true, force: true });
});

const chat = (body: object = {}) =>
  fetch(`${service.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ model: 'smollm2', messages: QUESTION, temperature: 0, max_tokens: 4, ...body }),
  });
const statusOf = async (body?: object) => {
  const response = await chat(body);
  await response.text();
  return response.status;
};

async function until(condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline)
      throw new Error(`waited ${seconds} s in vain: ${service.output().slice(-2000)}`);
    await sleep(50);
  }
}

test('a disk that is full of logs stops no answer; lines come again, whole, when there is room', async () => {
  if (!isMounted) {
    // Without a disk to fill, a device that is always full stands in for the file.
    const full = mkdtempSync(join(folder, 'full-'));
    spawnSync('ln', ['-s', '/dev/full', join(full, 'bot.log')]);
    const other = await spawnService(full, { model_path: model, logging: { directory: full } });
    await other.ready();
    await other.dispose();
    expect(other.output().match(/cannot write to .*bot\.log: ENOSPC/g)).toHaveLength(1);
    return;
  }
  const filler = join(logs, 'filler');
  const { bavail, bsize } = statfsSync(logs);
  writeFileSync(filler, Buffer.alloc(bavail * bsize));
  const log = () => readFileSync(join(logs, 'bot.log'), 'utf8');
  // The last page of the file that is there fills up first.
  for (let i = 0; i < 60; i++) expect(await statusOf({ max_tokens: 1 })).toBe(200);
  expect(service.output().match(/cannot write to .*bot\.log: ENOSPC/g)).toHaveLength(1);
  rmSync(filler);
  const before = log().length;
  expect(await statusOf()).toBe(200);
  await until(() => log().length > before);
  for (const line of log().trimEnd().split('\n'))
    expect(line).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[(INF|WRN|ERR|SEC)\] ((?!\[(INF|WRN)\]).)*$/);
});

test('a policy that is broken when it is read again leaves the one before in force', async () => {
  const forbidden = { messages: [{ role: 'user', content: 'Who is Voldemort?' }] };
  expect(await statusOf(forbidden)).toBe(400);
  writeFileSync(join(folder, 'policy.yaml'), 'words: [{ nme');
  service.process.kill('SIGHUP');
  await until(() => /policy\.yaml cannot be used, the one before stays in force/.test(service.output()));
  expect([await statusOf(forbidden), await statusOf()]).toEqual([400, 200]);
});

test('twelve thousand malformed bodies get 4xx each, and leave nothing behind', async () => {
  const bodies = [
    '',
    '{',
    '[]',
    'null',
    '{"model":1}',
    '\u0000\u0001',
    '{"messages":'.repeat(50),
    `{"model":"smollm2","messages":[{"role":"wizard","content":"x"}]}`,
    `{"model":"smollm2","messages":[],"max_tokens":-1}`,
    `{"model":"smollm2","messages":"${'x'.repeat(2000)}"}`,
    `${'['.repeat(5000)}`,
    '{"model":"\ud800"}',
  ];
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const statuses = new Map<number, number>();
  const send = (body: string) =>
    new Promise<void>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${API_KEY}` };
      const url = `${service.url}/v1/chat/completions`;
      httpRequest(url, { agent, method: 'POST', headers }, (response) => {
        const status = response.statusCode ?? 0;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        response.resume().on('end', resolve);
      })
        .on('error', reject)
        .end(body);
    });
  const sendMany = async (count: number) => {
    let sent = 0;
    const sender = async () => {
      while (sent < count) await send(bodies[sent++ % bodies.length]!);
    };
    await Promise.all(Array.from({ length: 8 }, sender));
  };
  const residentMiB = () =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${service.process.pid}/status`, 'utf8'))?.[1]) /
    1024;
  // What the engine of JavaScript takes once, for code that runs often, is taken by then.
  await sendMany(8000);
  const before = residentMiB();
  await sendMany(4000);
  agent.destroy();
  expect([...statuses.keys()].filter((status) => status < 400 || status > 499)).toEqual([]);
  expect(residentMiB() - before).toBeLessThan(40);
  expect(await statusOf()).toBe(200);
});

test('a limit on the size of files fails what is written beyond it, and nothing else', async () => {
  const limit = (pid: number, bytes: number | string) =>
    expect(spawnSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:`]).status).toBe(0);
  const [engine] = service.children();
  const log = join(logs, 'bot.log');
  // The malformed bodies may have filled the small disk.
  truncateSync(log, 0);
  await until(async () => (await statusOf({ max_tokens: 1 })) === 200 && statSync(log).size > 0);
  limit(engine!, 1000);
  limit(service.process.pid!, statSync(log).size + 10);
  // More conversations than sequences: the first one goes to the prompt cache.
  for (const about of ['the sea', 'mountains', 'the moon', 'bread']) {
    const messages = [{ role: 'user', content: `Write a poem about ${about}. `.repeat(20) }];
    expect(await statusOf({ messages })).toBe(200);
  }
  await until(() => /\[WRN\] a file became as large as it may.*ulimit -f/.test(service.output()));
  expect(service.output()).toMatch(/cannot write to .*bot\.log: EFBIG/);
  limit(service.process.pid!, 'unlimited');
  limit(engine!, 'unlimited');
  expect(service.children()).toEqual([engine]);
});

test('an engine that hangs in mid-answer is replaced: its reader is told, and the service answers again', async () => {
  const [hung] = service.children();
  const response = await chat({ stream: true, max_tokens: 900 });
  const reader = response.body!.getReader();
  await reader.read();
  process.kill(hung!, 'SIGSTOP');
  let text = '';
  for (let part = await reader.read(); !part.done; part = await reader.read())
    text += new TextDecoder().decode(part.value);
  expect(eventsOf(`\n\n${text}`).at(-1)).toContain('engine_interrupted');
  await service.ready();
  expect(await statusOf()).toBe(200);
  expect(service.children()).not.toContain(hung);
});

test('a model file that is deleted is missed only by the next engine, which says so, and goes on once it is back', async () => {
  rmSync(model);
  expect(await statusOf()).toBe(200);
  process.kill(service.children()[0]!, 'SIGKILL');
  await until(() =>
    /\[ERR\] model_path: there is no file .*model\.gguf.*; trying again in \d+ s/.test(service.output()),
  );
  expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
  expect(await statusOf()).toBe(503);
  copyFileSync(testModel().path, model);
  await service.ready();
  expect(await statusOf()).toBe(200);
});
