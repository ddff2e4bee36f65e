/** The compiled service with the real model, as a user and as an operator meet it. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { signAccessToken } from '../../runtime/src/access/access-token';
import { REPOSITORY, testModel } from '../support/test-model';
import { BOT, spawnService, type SpawnedService } from './support/spawned-service';
import { API_KEY, eventsOf } from './support/test-service';

jest.setTimeout(180_000);

const CONFIG = {
  model_path: testModel().path,
  model_name: 'smollm2',
  engine: { context_size: 2048, sequences: 2 },
};
const QUESTION = [{ role: 'user' as const, content: 'Count from one to fifty in words.' }];

let folder: string;
let service: SpawnedService;

const chat = (body: object, authorization = `Bearer ${API_KEY}`, init: RequestInit = {}) =>
  fetch(`${service.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: authorization },
    body: JSON.stringify({ model: 'smollm2', messages: QUESTION, temperature: 0, ...body }),
    ...init,
  });

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, 'm').exec(text)?.[1]);
}

/** How often threads of these processes have had a processor again after a wait. */
function wakeUps(pids: readonly number[]): number {
  const threads = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((id) => `/proc/${pid}/task/${id}`),
  );
  const counts = threads.map((thread) =>
    /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`${thread}/status`, 'utf8')),
  );
  return counts.reduce((sum, count) => sum + Number(count?.[1]), 0);
}

const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'botstack-service-'));
  service = await spawnService(folder, { ...CONFIG, logging: { directory: folder } });
  await service.ready();
});
afterAll(async () => {
  await service.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('a user', () => {
  const client = () => new OpenAI({ baseURL: `${service.url}/v1`, apiKey: API_KEY, maxRetries: 0 });

  test('gets a whole answer through the openai client', async () => {
    const answer = await client().chat.completions.create({
      model: 'smollm2',
      messages: [{ role: 'user', content: 'What is the capital of France? Answer in one sentence.' }],
      max_tokens: 40,
      temperature: 0,
    });
    expect(answer.choices[0]?.message.content).toMatch(/Paris/);
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
  });

  test('gets the same answer as a stream, with its usage', async () => {
    const request = { model: 'smollm2', messages: QUESTION, max_tokens: 24, temperature: 0 };
    const whole = await client().chat.completions.create(request);
    const stream = await client().chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let finish: string | null | undefined;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(finish).toBe('length');
    expect(usage).toMatchObject({ completion_tokens: 24, prompt_tokens: whole.usage?.prompt_tokens });
  });

  test('gets JSON by a schema and calls of tools, as a stream the same as whole', async () => {
    const city = { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] };
    const common = { model: 'smollm2', messages: QUESTION, max_tokens: 60, temperature: 0 };
    const json_schema = { name: 'city', strict: true, schema: { ...city, additionalProperties: false } };
    const written = await client().chat.completions.create({
      ...common,
      response_format: { type: 'json_schema', json_schema },
    });
    expect(['Oslo', 'Rome']).toContain(
      (JSON.parse(written.choices[0]!.message.content!) as { city: string }).city,
    );

    const asking = {
      ...common,
      tools: [{ type: 'function' as const, function: { name: 'weather', parameters: city } }],
      tool_choice: 'required' as const,
      parallel_tool_calls: false,
    };
    const whole = (await client().chat.completions.create(asking)).choices[0]!;
    const streamed = (await client().chat.completions.stream(asking).finalChatCompletion()).choices[0]!;
    const callOf = ({ message }: typeof whole) =>
      message.tool_calls!.map((call) => (call.type === 'function' ? call.function : undefined));
    expect(callOf(whole)).toMatchObject([{ name: 'weather', arguments: expect.stringMatching(/Oslo|Rome/) }]);
    expect(callOf(streamed)).toMatchObject(callOf(whole));
    expect([whole.finish_reason, streamed.finish_reason]).toEqual(['tool_calls', 'tool_calls']);
  });

  test("gets what zod's helper asks for, which it parses", async () => {
    const event = z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('call'), from: z.email(), seats: z.int().max(20) }),
      z.object({ kind: z.literal('visit'), host: z.ipv4(), day: z.iso.date() }),
    ]);
    const answer = z.object({ id: z.uuid(), day: z.iso.date(), at: z.iso.time({ precision: 0 }), event });
    const { choices } = await client().chat.completions.parse({
      model: 'smollm2',
      messages: [{ role: 'user', content: 'An event of tomorrow, as JSON.' }],
      response_format: zodResponseFormat(answer, 'event'),
      max_tokens: 300,
      temperature: 0,
    });
    expect(choices[0]?.finish_reason).toBe('stop');
    // The helper has parsed it with zod: an answer that does not fit throws.
    expect(['call', 'visit']).toContain(choices[0]?.message.parsed?.event.kind);
  });

  test('gets the same through /v1/responses, whole and streamed', async () => {
    const request = { model: 'smollm2', input: 'Say hello.', max_output_tokens: 12, temperature: 0 };
    const whole = await client().responses.create(request);
    const stream = client().responses.stream(request);
    let text = '';
    let last: OpenAI.Responses.Response | undefined;
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') text += event.delta;
      // Twelve tokens are too few.
      if (event.type === 'response.incomplete') last = event.response;
    }
    expect(text).toBe(whole.output_text);
    expect(last).toMatchObject({ status: whole.status, output: [{ content: [{ text }] }] });
  });

  test('finds the model in the list, and is told when another is asked for', async () => {
    const { data } = await client().models.list();
    expect(data.map((model) => model.id)).toEqual(['smollm2']);
    const wrong = client().chat.completions.create({ model: 'gpt-4o', messages: QUESTION });
    await expect(wrong).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  });

  test('is told that a conversation is too long for the context', async () => {
    const response = await chat({ messages: [{ role: 'user', content: 'word '.repeat(4000) }] });
    expect([response.status, await codeOf(response)]).toEqual([400, 'context_length_exceeded']);
  });

  test('is refused with a wrong, a missing and an expired token', async () => {
    const { token } = await signAccessToken(API_KEY, 'ada', -1);
    const refusals = [
      await chat({}, 'Bearer wrong-key-0123456789'),
      await chat({}, ''),
      await chat({}, `Bearer ${token}`),
    ];
    expect(refusals.map((response) => response.status)).toEqual([401, 401, 401]);
    expect(await Promise.all(refusals.map(codeOf))).toEqual([
      'invalid_api_key',
      'missing_api_key',
      'token_expired',
    ]);
  });

  test('who goes away frees the sequence at once', async () => {
    const before = await metric('botstack_generation_tokens_total');
    const leaving = new AbortController();
    const response = await chat({ stream: true, max_tokens: 1500 }, undefined, { signal: leaving.signal });
    await response.body!.getReader().read();
    expect(await metric('botstack_num_requests_running')).toBe(1);
    leaving.abort();
    // One step later; a step takes seconds when something else has the processors. The whole answer takes longer.
    for (let i = 0; i < 50 && (await metric('botstack_num_requests_running')) > 0; i++) await sleep(100);
    expect(await metric('botstack_num_requests_running')).toBe(0);
    expect(await metric('botstack_generation_tokens_total')).toBeLessThan(before + 1000);
  });
});

describe('an operator', () => {
  test('makes a token with generate_token.sh, from bin/ and from scripts/, that opens the service', async () => {
    const bundle = join(folder, 'bundle');
    for (const room of ['bin', 'scripts']) mkdirSync(join(bundle, room), { recursive: true });
    cpSync(join(REPOSITORY, 'runtime', 'bin'), join(bundle, 'bin'), { recursive: true });
    cpSync(join(bundle, 'bin', 'generate_token.sh'), join(bundle, 'scripts', 'generate_token.sh'));
    symlinkSync(process.execPath, join(bundle, 'bin', 'node'));
    symlinkSync(join(REPOSITORY, 'runtime'), join(bundle, 'app'));
    const env = { PATH: process.env['PATH'], BOT_CONFIG: service.configFile, TEST_KEY: API_KEY };

    for (const room of ['bin', 'scripts']) {
      const script = join(bundle, room, 'generate_token.sh');
      const output = execFileSync(script, ['--user', 'ada', '--expiry', '600'], { env, encoding: 'utf8' });
      const token = /^Generated Access Token: (\S+)\nToken Expiry: \S+Z\n$/.exec(output)?.[1];
      expect((await chat({ max_tokens: 1 }, `Bearer ${token}`)).status).toBe(200);
      expect(spawnSync(script, ['--expiry', 'soon'], { env }).status).toBe(2);
    }
    expect(readFileSync(join(folder, 'bot.log'), 'utf8')).toMatch(
      /user=ada POST \/v1\/chat\/completions 200/,
    );
  });

  test('reads versions', () => {
    const output = execFileSync(process.execPath, [BOT, '--version'], { encoding: 'utf8' });
    expect(output).toMatch(/^bot \d+\.\d+\.\d+ \(node \d+\.\d+\.\d+, node-llama-cpp 3\.22\.1\)\n$/);
  });

  test('sees the console and the status behind it', async () => {
    expect(await (await fetch(`${service.consoleUrl}/`)).text()).toMatch(/<html/);
    const status = await fetch(`${service.consoleUrl}/admin/status`, {
      headers: { Authorization: `Bearer ${API_KEY}` },
    });
    expect(await status.json()).toMatchObject({ ready: true, model: { id: 'smollm2', sequences: 2 } });
  });

  test('leaves the processors alone while nobody asks', async () => {
    const pids = [service.process.pid!, ...service.children()];
    // What the tests before have left: collected garbage, connections that close.
    await sleep(1000);
    const before = wakeUps(pids);
    await sleep(2000);
    expect(wakeUps(pids) - before).toBeLessThan(100);
  });

  test('finds neither prompts nor keys in the log', () => {
    const log = readFileSync(join(folder, 'bot.log'), 'utf8');
    expect(log).not.toMatch(/Count from one|capital of France|wrong-key/);
    expect(log).not.toContain(API_KEY);
    for (const line of log.trimEnd().split('\n')) {
      expect(line).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[(INF|WRN|ERR|SEC)\] ./);
    }
  });

  test('need not do anything when the engine is killed: 503 meanwhile, then it answers again', async () => {
    const broken = (await chat({ stream: true, max_tokens: 1500 })).text();
    const [engine] = service.children();
    process.kill(engine!, 'SIGKILL');

    expect(eventsOf(await broken).at(-1)).toContain('engine_interrupted');
    const refused = await chat({});
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    expect((await fetch(`${service.url}/health`)).status).toBe(200);

    await service.ready();
    expect((await chat({ max_tokens: 4 })).status).toBe(200);
    expect(await metric('botstack_engine_restarts')).toBe(1);
    expect(service.children()).not.toContain(engine);
  });

  test('stops it with SIGTERM: the running answer ends, nothing is left, the exit code is 0', async () => {
    const [engine] = service.children();
    const answer = (await chat({ stream: true, max_tokens: 300 })).text();
    service.process.kill('SIGTERM');
    const events = eventsOf(await answer);
    expect(events.at(-1)).toBe('[DONE]');
    expect(JSON.parse(events.at(-2)!)).toMatchObject({
      choices: [{ finish_reason: expect.stringMatching(/stop|length/) }],
    });
    expect(await service.exited).toBe(0);
    expect(existsSync(`/proc/${engine}`)).toBe(false);
  });
});

describe('a service that cannot run says why', () => {
  let other: SpawnedService;
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'botstack-service-'));
  });
  afterEach(async () => {
    await other.dispose();
    rmSync(place, { recursive: true, force: true });
  });

  test('78 for a configuration error, which no restart cures', async () => {
    other = await spawnService(place, { ...CONFIG, max_tokns: 1, model_path: 'x' });
    expect(await other.exited).toBe(78);
    expect(other.output()).toMatch(/`max_tokns` is not known; did you mean `max_tokens`\?/);
  });

  test('78 for a model that is not there', async () => {
    other = await spawnService(place, { model_path: join(place, 'none.gguf') });
    expect(await other.exited).toBe(78);
    expect(other.output()).toMatch(/`model_path` names .*none\.gguf, which is not a readable file/);
  });

  test('1 for a model that is damaged', async () => {
    const damaged = join(place, 'damaged.gguf');
    writeFileSync(damaged, readFileSync(testModel().path).subarray(0, 1_000_000));
    other = await spawnService(place, { model_path: damaged });
    expect(await other.exited).toBe(1);
    expect(other.output()).toMatch(/\[ERR\] the service cannot run: .*damaged\.gguf/);
  });

  test('1 for a port that is taken, with the holder and the key', async () => {
    const first = await spawnService(place, CONFIG);
    try {
      await first.ready();
      const port = Number(new URL(first.url).port);
      const elsewhere = mkdtempSync(join(place, 'second-'));
      other = await spawnService(elsewhere, { ...CONFIG, network: { internal_port: port, console_port: 0 } });
      expect(await other.exited).toBe(1);
      expect(other.output()).toMatch(
        new RegExp(
          `port ${port} .* is held by .*\\(process ${first.process.pid}\\); .*\`network\\.internal_port\``,
        ),
      );
    } finally {
      await first.dispose();
    }
  });

  test('and a second signal ends it at once, with the engine', async () => {
    other = await spawnService(place, CONFIG);
    await other.ready();
    const [engine] = other.children();
    let answering = () => {};
    const answers = new Promise<void>((resolve) => (answering = resolve));
    const held = fetch(`${other.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${API_KEY}` },
      // Greedy: this question is answered at length, whatever the machine's speed.
      body: JSON.stringify({
        model: 'smollm2',
        messages: QUESTION,
        temperature: 0,
        stream: true,
        max_tokens: 1500,
      }),
    }).then(async (response) => {
      answering();
      return response.text();
    });
    held.catch(() => undefined);
    await answers;
    other.process.kill('SIGINT');
    while (!other.output().includes('SIGINT: finishing running answers')) await sleep(10);
    other.process.kill('SIGINT');
    expect(await other.exited).toBe(130);
    await expect(held).rejects.toThrow();
    for (let wait = 0; existsSync(`/proc/${engine}`) && wait < 50; wait++) await sleep(100);
    expect(existsSync(`/proc/${engine}`)).toBe(false);
  });

  test('tells systemd ready and stopping, and feeds its watchdog', async () => {
    const record = join(place, 'record');
    writeFileSync(join(place, 'systemd-notify'), `#!/bin/sh\necho "$@" >> ${record}\n`);
    chmodSync(join(place, 'systemd-notify'), 0o755);
    other = await spawnService(place, CONFIG, {
      PATH: `${place}:${process.env['PATH']}`,
      NOTIFY_SOCKET: '/run/systemd/notify',
      WATCHDOG_USEC: '400000',
    });
    await other.ready();
    // Ready for clients is not told to systemd yet: that takes another process.
    while (!existsSync(record) || !readFileSync(record, 'utf8').includes('WATCHDOG=1')) await sleep(50);
    other.process.kill('SIGTERM');
    expect(await other.exited).toBe(0);
    const told = readFileSync(record, 'utf8');
    expect(told).toMatch(/^READY=1 STATUS=ready: smollm2, 2 sequences of 2048 tokens, port \d+$/m);
    expect(told).toMatch(/^WATCHDOG=1$/m);
    expect(told.trimEnd().split('\n').at(-1)).toMatch(/^STOPPING=1/);
  });
});
