/** What clients and operators are told when the remote service is slow, broken, gone, or says no. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import type { GenerateEvent } from '../../../../runtime/src/engine/engine';
import type { RemoteEngine } from '../../../../runtime/src/engine/remote-engine';
import {
  beginning,
  DONE,
  END,
  refuse,
  remoteService,
  stream,
  text,
  toEvent,
  type Answer,
} from '../../support/remote-service';
import type { ScriptedEngine } from '../../support/scripted-engine';
import {
  eventsOf,
  startTestService,
  stopTestServices,
  until,
  type TestService,
} from '../../support/test-service';

stopTestServices();
const service = remoteService();

const BODY = { model: 'big', messages: [{ role: 'user', content: 'a private question' }] };
const SSE = { 'Content-Type': 'text/event-stream' };
/** No waiting in the tests of single attempts. */
const ONCE = { retries: 0 };

interface Told {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly retryAfter: string | null;
}

async function front(engine: RemoteEngine, config: object = {}): Promise<TestService> {
  return startTestService({ engine: engine as unknown as ScriptedEngine, config });
}

/** Asks through the whole HTTP service, with the remote engine below. */
async function ask(settings: object = ONCE, config: object = {}): Promise<Told> {
  const answer = service.answer;
  service.answer = stream(END, DONE);
  const engine = await service.started(settings);
  service.answer = answer;
  const here = await front(engine, config);
  const response = await here.call('/v1/chat/completions', BODY);
  const { error } = (await response.json()) as { error?: Omit<Told, 'status' | 'retryAfter'> };
  expect(engine.status()).toMatchObject({ running: 0, waiting: 0 });
  const lines = [...here.logged(), ...service.logged].join('\n');
  expect(lines).not.toMatch(/private question|model-api-token/);
  expect(error?.message ?? '').not.toMatch(/model-api-token/);
  const told = error ?? { code: '', message: '', param: null };
  return { ...told, status: response.status, retryAfter: response.headers.get('retry-after') };
}

const inOrder =
  (...answers: readonly Answer[]): Answer =>
  (req, res) =>
    answers[Math.min(service.asked.length, answers.length) - 1]!(req, res);

test.each<[string, Answer, number, string, RegExp]>([
  [
    'refuses the credentials',
    refuse(401, { error: { message: 'bad token model-api-token' } }),
    502,
    'upstream_failed',
    /refused the credentials \(401\); check remote_service\.auth/,
  ],
  ['fails', refuse(500, '<h1>oops</h1>'), 502, 'upstream_failed', /answered with status 500/],
  [
    'knows no such route',
    refuse(404),
    502,
    'upstream_failed',
    /check remote_service\.endpoint and model_name/,
  ],
  [
    'answers without streaming',
    (_q, res) => void res.writeHead(200, { 'Content-Type': 'application/json' }).end('{}'),
    502,
    'upstream_failed',
    /does not stream/,
  ],
  [
    'redirects elsewhere',
    refuse(307, '', { Location: 'http://127.0.0.1:1/' }),
    502,
    'upstream_failed',
    /redirects \(307\); set remote_service\.endpoint/,
  ],
  ['sends half of its stream', stream(text('Hel')), 502, 'upstream_failed', /broke off/],
  [
    'hangs up in the middle',
    (_q, res) =>
      void res.writeHead(200, SSE).write(`data: ${JSON.stringify(text('a'))}\n\n`, () => res.destroy()),
    502,
    'upstream_failed',
    /broke off: ECONNRESET/,
  ],
  [
    'hangs up at once',
    (_q, res) => void res.destroy(),
    502,
    'upstream_failed',
    /did not answer \(ECONNRESET\)/,
  ],
  [
    'sends without end what is no event',
    (_q, res) => {
      res.writeHead(200, SSE);
      const more = () => void (res.writable && res.write('x'.repeat(256 * 1024), more));
      more();
    },
    502,
    'upstream_failed',
    /event of more than 1 MiB/,
  ],
  ['talks nonsense', stream('data: {nonsense\n\n'), 502, 'upstream_failed', /not valid JSON/],
  [
    'sends something else',
    stream({ choices: [{ delta: { content: 7 } }] }),
    502,
    'upstream_failed',
    /no chat completion chunk \(`choices\.0\.delta\.content`\)/,
  ],
  [
    'reports an error in the middle',
    stream(text('a'), { error: { message: 'overloaded' } }),
    502,
    'upstream_failed',
    /overloaded/,
  ],
  [
    'is over its rate limit',
    refuse(429, '', { 'Retry-After': '77' }),
    503,
    'upstream_busy',
    /over its rate limit \(429\); try again in 77 seconds/,
  ],
  ['is away', refuse(503), 503, 'upstream_busy', /not available now \(503\); try again in 5 seconds/],
])('a client is told when the service %s', async (_what, answer, status, code, message) => {
  service.answer = answer;
  expect(await ask()).toMatchObject({ status, code, message: expect.stringMatching(message) });
});

test('what the service refuses is passed on in its own words, without the token', async () => {
  const message = 'Unknown keyword `if` for\nmodel-api-token';
  service.answer = refuse(400, { error: { message, param: 'response_format', code: 'x' } });
  expect(await ask()).toEqual({
    status: 400,
    code: 'upstream_refused',
    type: 'invalid_request_error',
    param: 'response_format',
    message: 'The remote service refused the request: Unknown keyword `if` for ***',
    retryAfter: null,
  });

  service.answer = refuse(400, { error: { message: 'Too long: 9 of 8', code: 'context_length_exceeded' } });
  expect(await ask()).toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
    message: 'Too long: 9 of 8',
    param: 'messages',
  });

  service.answer = refuse(422, { detail: [{ loc: ['body', 'seed'] }] });
  expect(await ask()).toMatchObject({
    status: 400,
    message: expect.stringContaining('"loc":["body","seed"]'),
  });
});

test('the log has the cause under the request id', async () => {
  service.answer = refuse(500);
  await ask();
  expect(service.logged).toEqual([
    expect.stringMatching(/^req=[\w-]{36} the remote service failed: .* 500$/),
  ]);
});

describe('time limits', () => {
  test('for the first byte: headers alone are none', async () => {
    service.answer = beginning();
    const from = performance.now();
    expect(await ask({ ...ONCE, timeouts: { first_byte_seconds: 0.2 } })).toMatchObject({
      status: 502,
      message: expect.stringContaining('nothing came within 0.2 s'),
    });
    expect(performance.now() - from).toBeLessThan(5000);

    service.answer = () => undefined;
    expect(await ask({ ...ONCE, timeouts: { first_byte_seconds: 0.2 } })).toMatchObject({ status: 502 });
  });

  test('for silence in the middle, which ends a stream with an error event', async () => {
    const engine = await service.started({
      ...ONCE,
      timeouts: { idle_seconds: 0.2, first_byte_seconds: 60 },
    });
    const here = await front(engine);
    service.answer = beginning(text('Hel'), text('lo'));
    const response = await here.call('/v1/chat/completions', { ...BODY, stream: true });
    const events = eventsOf(await response.text());
    expect(response.status).toBe(200);
    expect(JSON.parse(events.at(-1)!)).toMatchObject({
      error: { code: 'upstream_failed', message: expect.stringContaining('fell silent for 0.2 s') },
    });
    expect(events).not.toContain('[DONE]');
  });

  test('for silence in a body that only the end of the connection would end', async () => {
    const engine = await service.started({ ...ONCE, timeouts: { idle_seconds: 0.2 } });
    const here = await front(engine);
    service.answer = ({ socket }) =>
      socket.write(`HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n${toEvent(text('Hel'))}`);
    const response = await here.call('/v1/chat/completions', { ...BODY, stream: true });
    expect(await response.text()).toContain('fell silent for 0.2 s');
  });

  test('for silence that a slow reader makes there is none', async () => {
    const engine = await service.started({ ...ONCE, timeouts: { idle_seconds: 0.2 } });
    service.answer = stream(text('a'), text('b'), END, DONE);
    const seen: GenerateEvent['type'][] = [];
    const request = { id: 'r', input: { messages: [{ role: 'user', content: 'x' }] }, stop: [] } as never;
    for await (const event of engine.generate(request, new AbortController().signal)) {
      seen.push(event.type);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    expect(seen).toEqual(['start', 'text', 'text', 'end']);
  });

  test('for a connection, TLS included', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      const endpoint = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
      const engine = service.engine({ ...ONCE, endpoint, timeouts: { connect_seconds: 0.2 } });
      await expect(engine.start()).rejects.toThrow(/no connection within 0\.2 s/);
    } finally {
      silent.close();
    }
  });

  test('the request’s own ends every wait and every attempt', async () => {
    service.answer = refuse(503, '', { 'Retry-After': '5' });
    const from = performance.now();
    const told = await ask({ retries: 10 }, { limits: { max_request_seconds: 1 } });
    expect([told.status, told.code]).toEqual([503, 'queue_timeout']);
    expect(performance.now() - from).toBeLessThan(4000);
    expect(service.asked).toHaveLength(1);
  });
});

describe('another attempt', () => {
  const good = stream(text('back'), END, DONE);

  test.each<[string, Answer]>([
    ['502', refuse(502)],
    ['503', refuse(503, '', { 'Retry-After': '0' })],
    ['429 with a time', refuse(429, '', { 'Retry-After': '0' })],
  ])('is made after %s', async (_what, first) => {
    service.answer = inOrder(first, first, good);
    expect((await ask({ retries: 2 })).status).toBe(200);
    expect(service.asked).toHaveLength(3);
    expect(service.logged[0]).toMatch(/^req=\S+ remote service: status \d+; trying again in \d+ ms$/);
  });

  test.each<[string, Answer]>([
    ['429 without a time', refuse(429)],
    ['429 with too long a time', refuse(429, '', { 'Retry-After': '3600' })],
    ['500', refuse(500)],
    ['400', refuse(400)],
    ['half a stream', stream(text('Hel'))],
    ['an empty stream', stream()],
  ])('is not made after %s', async (_what, first) => {
    service.answer = inOrder(first, good);
    expect((await ask({ retries: 2 })).status).toBeGreaterThanOrEqual(400);
    expect(service.asked).toHaveLength(1);
  });

  test('is not made after a new connection was closed: the service may have begun', async () => {
    service.answer = (_req, res) => {
      res.writeHead(200, { ...SSE, Connection: 'close' });
      res.end(`data: ${JSON.stringify(END)}\n\n`);
    };
    const engine = await service.started();
    const here = await front(engine);
    service.answer = inOrder((_q, res) => void res.destroy(), good);
    expect((await here.call('/v1/chat/completions', BODY)).status).toBe(502);
    expect(service.asked.map(({ connection }) => connection)).toEqual([2]);
  });

  test('is made while nobody listens, and answered when the service is back', async () => {
    const engine = await service.started({ retries: 5 });
    const here = await front(engine);
    await service.stop();
    const waiting = here.call('/v1/chat/completions', BODY);
    await until(() => service.logged.some((line) => line.includes('ECONNREFUSED')));
    service.answer = good;
    await service.start();
    expect((await waiting).status).toBe(200);
  });

  test('ends with the cause where nobody comes back', async () => {
    const engine = await service.started({ retries: 1 });
    const here = await front(engine);
    await service.stop();
    const response = await here.call('/v1/chat/completions', BODY);
    expect(response.status).toBe(502);
    expect(await response.text()).toMatch(/did not answer \(ECONNREFUSED\); check remote_service\.endpoint/);
    expect(service.logged).toHaveLength(2);
  });

  test('is made at once on a kept connection that the service has closed', async () => {
    const engine = await service.started();
    const here = await front(engine);
    service.answer = inOrder((req) => req.socket.resetAndDestroy(), good);
    expect((await here.call('/v1/chat/completions', BODY)).status).toBe(200);
    expect(service.asked.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  test('is not made for a client that has left', async () => {
    const engine = await service.started({ retries: 10 });
    const here = await front(engine);
    service.answer = refuse(503, '', { 'Retry-After': '1' });
    const leaving = new AbortController();
    const asking = here.call('/v1/chat/completions', BODY, { signal: leaving.signal });
    await until(() => service.logged.length === 1);
    leaving.abort();
    await expect(asking).rejects.toThrow();
    await until(() => engine.status().running === 0);
    expect(service.asked).toHaveLength(1);
  });
});
