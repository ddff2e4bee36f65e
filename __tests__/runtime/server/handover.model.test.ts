/** `bot reload`: a new process takes the place of the one that runs, and nobody who asks meanwhile goes without. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { killAllOf, processesOf } from '../../support/processes-of-folder';
import { writeTinyModel } from '../../support/tiny-models';
import { BOT, spawnService, type SpawnedService } from '../support/spawned-service';
import { API_KEY, eventsOf, until } from '../support/test-service';

jest.setTimeout(180_000);

/** MiB: enough for two of the model, and for one without what is kept in reserve. */
const PLENTY = 4000;
const SCARCE = 300;

let folder: string;
let service: SpawnedService;

const path = (name: string) => join(folder, name);

/** What systemd was told, oldest first. */
const told = () => (existsSync(path('told')) ? readFileSync(path('told'), 'utf8').trim().split('\n') : []);

const environment = () => ({
  PATH: `${folder}:${process.env['PATH']}`,
  TEST_KEY: API_KEY,
  RUNTIME_DIRECTORY: path('run'),
  NOTIFY_SOCKET: path('notify'),
});

/** `availableMiB`: what the service finds free, whatever is. */
async function start(availableMiB: number): Promise<void> {
  const figures = readFileSync('/proc/meminfo', 'utf8');
  const line = `MemAvailable: ${availableMiB * 1024} kB`;
  writeFileSync(path('meminfo'), figures.replace(/^MemAvailable:.*$/m, line));
  const script = 'mount --bind "$0" /proc/meminfo && exec "$@"';
  const wrapper = ['unshare', '-rm', 'sh', '-c', script, path('meminfo')];
  const config = {
    model_path: path('tiny.gguf'),
    model_name: 'before',
    // Two threads wait for each other, and for whatever else has a processor: how long an answer takes would be luck.
    engine: { context_size: 8192, sequences: 2, prompt_cache_mib: 0, threads: 1 },
    limits: { max_request_seconds: 60 },
  };
  service = await spawnService(folder, config, environment(), wrapper);
  await service.ready();
  // It listens for reloads once systemd knows that it is ready.
  while (!existsSync(path('run/reload.sock'))) await sleep(20);
}

function configure(change: (config: Record<string, unknown>) => object): void {
  const config = JSON.parse(readFileSync(service.configFile, 'utf8')) as Record<string, unknown>;
  writeFileSync(service.configFile, JSON.stringify(change(config)));
}

/** `onStart` gets the process of the command, to end it early. */
async function reload(
  onStart: (kill: () => void) => void = () => undefined,
): Promise<{ status: number | null; output: string }> {
  const child = spawn(process.execPath, [BOT, 'reload', '--config', service.configFile], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onStart(() => child.kill('SIGTERM'));
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (bytes) => (output += String(bytes)));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, output };
}

/** A connection for each request, as nginx makes them. */
const FRESH = { Connection: 'close' };

const chat = (body: object, headers: object = FRESH) =>
  fetch(`${service.url}/api/v1/chat`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${API_KEY}`, ...headers },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Go on.' }], temperature: 0, ...body }),
  });

/** Of the process that accepts connections: this one is new, whatever is kept open. */
async function names(): Promise<readonly string[]> {
  const headers = { Authorization: `Bearer ${API_KEY}` };
  const text = await new Promise<string>((resolve, reject) => {
    get(`${service.url}/v1/models`, { agent: false, headers }, (answer) => {
      let body = '';
      answer.on('data', (bytes) => (body += String(bytes))).once('end', () => resolve(body));
    }).once('error', reject);
  });
  return (JSON.parse(text) as { data: { id: string }[] }).data.map(({ id }) => id);
}

/** Streams, whole answers and probes, all the time while `work` is done. Returns what was not as it should be, and how much was asked. */
async function whileAsked<T>(
  work: () => Promise<T>,
  headers: object = FRESH,
): Promise<{ result: T; bad: string[]; asked: number }> {
  const bad: string[] = [];
  let asked = 0;
  let isOver = false;
  const asking = async (what: string, ask: () => Promise<boolean>) => {
    while (!isOver) {
      asked++;
      const isGood = await ask().catch((error: unknown) => bad.push(`${what}: ${String(error)}`) === 0);
      if (!isGood) bad.push(what);
      await sleep(50);
    }
  };
  const loops = [
    asking('stream', async () => {
      const events = eventsOf(await (await chat({ stream: true, max_tokens: 60 }, headers)).text());
      return events.at(-1) === '[DONE]' && events.length > 10;
    }),
    asking('answer', async () => (await chat({ max_tokens: 5 }, headers)).status === 200),
    asking(
      'probe',
      async () => (await fetch(`${service.url}/readyz`, { headers: { ...headers } })).status === 200,
    ),
  ];
  try {
    return { result: await work(), bad, asked };
  } finally {
    isOver = true;
    await Promise.all(loops);
  }
}

/** Of the process that was started first. Its successor has its standard output, which therefore does not end. */
async function exitCode(): Promise<number | null> {
  await until(() => service.process.exitCode !== null);
  return service.process.exitCode;
}

/** Tokens a second of one answer. */
async function speed(): Promise<number> {
  const tokens = 400;
  const from = performance.now();
  await (await chat({ stream: true, max_tokens: tokens })).text();
  return (tokens * 1000) / (performance.now() - from);
}

/** Tokens that take so long, as far as the context holds them. */
const lasting = (seconds: number, perSecond: number) => Math.min(8000, Math.ceil(seconds * perSecond));

/** Its header is whole, and a matrix is missing: only who loads it sees that. */
function damagedModel(): string {
  const bytes = readFileSync(path('tiny.gguf'));
  bytes.write('blk.1.attn_X', bytes.indexOf('blk.1.attn_n'));
  writeFileSync(path('bad.gguf'), bytes);
  return path('bad.gguf');
}

const serving = () => processesOf(folder).filter(({ command }) => command.includes('bot.js serve'));
const newest = () => Math.max(...serving().map(({ pid }) => pid));

const slowed: (() => void)[] = [];

/**
 * Lets the engine of a process evaluate for a moment in twenty, until it is released: its answers last as long as a test
 * needs them, however fast the machine is, and then end soon. It is not away for so long that it would count as hung.
 */
function slowDown(pid: number): void {
  const [engine = 0] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number);
  let timer: NodeJS.Timeout | undefined;
  const signal = (name: NodeJS.Signals, next: () => void, ms: number) => {
    process.kill(engine, name);
    timer = setTimeout(next, ms);
  };
  const stop = () => signal('SIGSTOP', goOn, 300);
  const goOn = () => signal('SIGCONT', stop, 15);
  stop();
  slowed.push(() => {
    clearTimeout(timer);
    if (existsSync(`/proc/${engine}`)) process.kill(engine, 'SIGCONT');
  });
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'handover-'));
  mkdirSync(path('run'));
  writeFileSync(path('systemd-notify'), `#!/bin/sh\necho "$@" >>${path('told')}\n`);
  chmodSync(path('systemd-notify'), 0o755);
  // A wide one, which takes its time: its answers have to last, and the context holds no more than 8,192 tokens.
  writeTinyModel(path('tiny.gguf'), 'phi3', 8192);
});
afterEach(async () => {
  for (const release of slowed.splice(0)) release();
  await killAllOf(folder);
  rmSync(folder, { recursive: true, maxRetries: 5, retryDelay: 50 });
});

describe('where the memory holds the model twice', () => {
  beforeEach(() => start(PLENTY));

  test('the new process answers with what is on the disk, the old one ends what it has, systemd follows', async () => {
    const long = await chat({ stream: true, max_tokens: lasting(8, await speed()) });
    configure((config) => ({ ...config, model_name: 'after' }));
    // On connections that are kept open, too.
    const { result, bad, asked } = await whileAsked(() => reload(), {});
    expect(result).toMatchObject({ status: 0 });
    expect(result.output).toMatch(/the memory holds the models twice/);
    expect(bad).toEqual([]);
    expect(asked).toBeGreaterThan(20);
    expect(await names()).toEqual(['after']);

    const events = eventsOf(await long.text());
    expect(events.at(-1)).toBe('[DONE]');
    expect(await exitCode()).toBe(0);
    const [left] = serving();
    expect(serving()).toHaveLength(1);
    expect(told().at(-1)).toBe(
      `READY=1 MAINPID=${left?.pid} WATCHDOG=1 STATUS=ready: after, 2 sequences of 8192 tokens, port ${new URL(service.url).port}`,
    );
    // Its parent is not the old process: systemd waits only for its own children.
    expect(readFileSync(`/proc/${left?.pid}/status`, 'utf8')).not.toMatch(
      new RegExp(`^PPid:\\s+${service.process.pid}$`, 'm'),
    );
  });

  test('a new process that cannot run leaves everything as it was', async () => {
    configure((config) => ({ ...config, model_path: damagedModel() }));
    const { result, bad } = await whileAsked(() => reload());
    expect(result).toMatchObject({ status: 1 });
    expect(result.output).toMatch(/error: model_path: \S+bad\.gguf cannot be loaded: .*attn_norm/);
    expect(bad).toEqual([]);
    configure((config) => ({ ...config, engine: 7 }));
    const broken = await reload();
    expect(broken).toMatchObject({ status: 78 });
    expect(broken.output).toMatch(/config\.yaml: .*`engine`/);

    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    configure((config) => ({
      ...config,
      model_path: path('tiny.gguf'),
      engine: { context_size: 8192 },
      network: { ...(config['network'] as object), internal_port: port },
    }));
    const taken = await reload();
    other.close();
    expect(taken.output).toMatch(new RegExp(`error: address in use: port ${port} `));
    await until(() => serving().length === 1);
    expect((await fetch(service.consoleUrl, { headers: FRESH })).status).toBe(200);
    expect(serving()).toMatchObject([{ pid: service.process.pid }]);
    expect(told().some((line) => line.includes('MAINPID') || line.includes('STOPPING'))).toBe(false);
    expect(service.output()).toMatch(/\[ERR\] reload: this process goes on: model_path/);
  });

  test('whoever waits for it may go, and the service goes on alone', async () => {
    const { status } = await reload((kill) => {
      void until(() => serving().length > 1).then(() => {
        // It cannot end by itself.
        for (const { pid } of serving()) if (pid !== service.process.pid) process.kill(pid, 'SIGSTOP');
        kill();
      });
    });
    expect(status).not.toBe(0);
    expect((await chat({ max_tokens: 5 })).status).toBe(200);
    await until(() => serving().length === 1);
    expect(serving()).toMatchObject([{ pid: service.process.pid }]);
    expect((await chat({ max_tokens: 5 })).status).toBe(200);
    // The way is free again.
    configure((config) => ({ ...config, model_path: path('none.gguf') }));
    await until(() => service.output().includes('this process goes on: nobody waits'));
    await sleep(200);
    expect((await reload()).output).toMatch(/none\.gguf/);
  });

  test('a service that is told to end waits for what the processes before still answer', async () => {
    const tokens = lasting(2, await speed());
    const first = await chat({ stream: true, max_tokens: tokens });
    slowDown(service.process.pid!);
    expect(await reload()).toMatchObject({ status: 0 });
    const second = await chat({ stream: true, max_tokens: tokens });
    slowDown(newest());
    expect(await reload()).toMatchObject({ status: 0 });
    expect(serving()).toHaveLength(3);
    process.kill(newest(), 'SIGTERM');
    for (const release of slowed.splice(0)) release();
    for (const answer of [first, second]) expect(eventsOf(await answer.text()).at(-1)).toBe('[DONE]');
    await until(() => serving().length === 0);
    expect(await exitCode()).toBe(0);
  });
});

describe('where it does not', () => {
  beforeEach(() => start(SCARCE));

  test('requests wait while the processes change places', async () => {
    configure((config) => ({ ...config, model_name: 'after' }));
    const { result, bad, asked } = await whileAsked(() => reload());
    expect(result).toMatchObject({ status: 0 });
    expect(result.output).toMatch(/the memory does not hold the models twice/);
    expect(bad).toEqual([]);
    expect(asked).toBeGreaterThan(5);
    expect(await names()).toEqual(['after']);
    expect(await exitCode()).toBe(0);
  });

  test('where the new one cannot run, the old one answers those who waited', async () => {
    configure((config) => ({ ...config, model_path: damagedModel() }));
    const { result, bad } = await whileAsked(() => reload());
    expect(result).toMatchObject({ status: 1 });
    expect(result.output).toMatch(/does not hold the models twice[^]*error: model_path: \S+bad\.gguf/);
    expect(bad).toEqual([]);
    expect(serving()).toMatchObject([{ pid: service.process.pid }]);
    expect(await names()).toEqual(['before']);
  });
});
