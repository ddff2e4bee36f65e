import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { EngineError, type GenerateEvent, type GenerateRequest } from '../../../runtime/src/engine/engine';
import { RemoteEngine, type RemoteEngineOptions } from '../../../runtime/src/engine/remote-engine';
import { ScriptedEngine, neverEnds } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const REQUEST: GenerateRequest = {
  id: 'r1',
  input: { messages: [{ role: 'user', content: 'Hi' }] },
  maxTokens: 5,
  temperature: 0.5,
  topP: 0.9,
  stop: ['END'],
  seed: 7,
  frequencyPenalty: 0,
  presencePenalty: 1,
};

const never = () => new AbortController().signal;

async function collect(events: AsyncIterable<GenerateEvent>): Promise<readonly GenerateEvent[]> {
  const all: GenerateEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** A remote service that does what the test says, and remembers what it was asked. */
let server: Server;
let answer: (req: IncomingMessage, res: ServerResponse) => void;
let asked: { headers: IncomingMessage['headers']; body: Record<string, unknown> }[];

const stream =
  (...pieces: readonly (object | string)[]) =>
  (_req: IncomingMessage, res: ServerResponse) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const piece of pieces)
      res.write(typeof piece === 'string' ? piece : `data: ${JSON.stringify(piece)}\n\n`);
    res.end();
  };
const text = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] });
const END = { choices: [{ delta: {}, finish_reason: 'length' }] };
const DONE = 'data: [DONE]\n\n';

beforeEach(async () => {
  asked = [];
  server = createServer((req, res) => {
    let body = '';
    req.on('data', (bytes: Buffer) => (body += bytes.toString()));
    req.on('end', () => {
      asked.push({ headers: req.headers, body: JSON.parse(body) as Record<string, unknown> });
      answer(req, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function remote(
  auth: RemoteEngineOptions['service']['auth'],
  model?: string,
  probeMs?: number,
): RemoteEngine {
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat`;
  return new RemoteEngine({ service: { endpoint, auth }, model, contextSize: 4096, sequences: 1, probeMs });
}
/** What the engine does of itself, sooner or later. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const bearer = { type: 'bearer', token: 'model-api-token' } as const;

async function started(auth: RemoteEngineOptions['service']['auth'] = bearer): Promise<RemoteEngine> {
  answer = stream(END, DONE);
  const engine = remote(auth, 'big');
  await engine.start();
  return engine;
}

describe('RemoteEngine', () => {
  test('is ready when the service has answered', async () => {
    const engine = await started();
    expect(engine.status()).toMatchObject({ state: 'ready', running: 0 });
    expect(asked[0]).toMatchObject({
      headers: { authorization: 'Bearer model-api-token' },
      body: { model: 'big', max_tokens: 1, stream: true, stream_options: { include_usage: true } },
    });
  });

  test('sends an API key in its own header', async () => {
    await started({ type: 'api_key', token: 'k' });
    expect(asked[0]?.headers).toMatchObject({ 'x-api-key': 'k' });
    expect(asked[0]?.headers.authorization).toBeUndefined();
  });

  test('passes request and answer on, however the bytes are cut', async () => {
    const engine = await started();
    const bytes = Buffer.from(
      `: comment\r\n\r\ndata: ${JSON.stringify(text('Grüß'))}\r\n\r\ndata:${JSON.stringify(text(' Gott'))}\n\n` +
        `data: ${JSON.stringify({ ...END, usage: { prompt_tokens: 9, completion_tokens: 4 } })}\n\ndata: [DONE]`,
    );
    answer = (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
      let at = 0;
      const next = () => {
        if (at >= bytes.length) return res.end();
        res.write(bytes.subarray(at, (at += 7)), () => setImmediate(next));
      };
      next();
    };
    expect(await collect(engine.generate(REQUEST, never()))).toEqual([
      { type: 'start', promptTokens: 0, cachedTokens: 0 },
      { type: 'text', text: 'Grüß', tokens: 1 },
      { type: 'text', text: ' Gott', tokens: 1 },
      {
        type: 'end',
        finishReason: 'length',
        usage: { promptTokens: 9, cachedTokens: 0, completionTokens: 4 },
      },
    ]);
    expect(asked[1]?.body).toEqual({
      model: 'big',
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 5,
      temperature: 0.5,
      top_p: 0.9,
      seed: 7,
      stop: ['END'],
      presence_penalty: 1,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test.each<[string, () => void, RegExp]>([
    [
      'refuses the credentials',
      () => (answer = (_q, res) => res.writeHead(401).end('token model-api-token')),
      /refused the credentials \(401\); check remote_service\.auth/,
    ],
    ['fails', () => (answer = (_q, res) => res.writeHead(500).end('<h1>oops</h1>')), /500/],
    [
      'knows no such route',
      () => (answer = (_q, res) => res.writeHead(404).end()),
      /check remote_service\.endpoint and model_name/,
    ],
    [
      'answers without streaming',
      () => (answer = (_q, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end('{}')),
      /does not stream/,
    ],
    [
      'redirects elsewhere',
      () => (answer = (_q, res) => res.writeHead(307, { Location: 'http://127.0.0.1:1/' }).end()),
      /cannot be reached/,
    ],
    ['breaks off', () => (answer = stream(text('Hel'))), /broke off/],
    ['hangs up', () => (answer = (_q, res) => res.destroy()), /cannot be reached/],
    [
      'sends without end what is no event',
      () =>
        (answer = (_q, res) => {
          res.writeHead(200, { 'Content-Type': 'text/event-stream' });
          const more = () => void (res.writable && res.write('x'.repeat(256 * 1024), more));
          more();
        }),
      /event of more than 1 MiB/,
    ],
    ['talks nonsense', () => (answer = stream('data: {nonsense\n\n')), /not valid JSON/],
    [
      'reports an error in the middle',
      () => (answer = stream(text('a'), { error: { message: 'overloaded' } })),
      /overloaded/,
    ],
  ])('says so when the service %s', async (_what, arrange, message) => {
    const engine = await started();
    arrange();
    const failure = collect(engine.generate(REQUEST, never()));
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toMatchObject({ name: 'EngineError', code: 'upstream_failed' });
    await expect(failure).rejects.not.toThrow(/model-api-token/);
    expect(engine.status().running).toBe(0);
  });

  test.each([
    ['is not one', 'no-jwt', /is not a JWT/],
    ['has expired', `e30.${Buffer.from('{"exp":1000}').toString('base64url')}.x`, /expired at 1970-01-01/],
  ])('does not start with a JWT that %s', async (_what, token, message) => {
    const engine = remote({ type: 'jwt', token });
    await expect(engine.start()).rejects.toThrow(message);
    expect(asked).toEqual([]);
  });

  test('lets requests wait their turn, and one that leaves the line holds nobody up', async () => {
    const engine = await started();
    let release: ServerResponse | undefined;
    answer = (_req, res) => (release = res.writeHead(200, { 'Content-Type': 'text/event-stream' }));
    const first = collect(engine.generate(REQUEST, never()));
    await until(() => release !== undefined);
    const leaving = new AbortController();
    const second = collect(engine.generate(REQUEST, leaving.signal));
    const third = collect(engine.generate(REQUEST, never()));
    await until(() => engine.status().waiting === 2);
    expect(engine.status().running).toBe(1);

    leaving.abort();
    await expect(second).rejects.toThrow();
    const held = release!;
    answer = stream(END, DONE);
    held.end(`data: ${JSON.stringify(END)}\n\n${DONE}`);
    await Promise.all([first, third]);
    expect(engine.status()).toMatchObject({ running: 0, waiting: 0 });
  });

  test('interrupts what is running when it is stopped', async () => {
    const engine = await started();
    answer = (_req, res) => void res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    const running = collect(engine.generate(REQUEST, never()));
    await until(() => asked.length === 2);
    await engine.stop();
    await expect(running).rejects.toMatchObject({ code: 'engine_interrupted' });
    await expect(collect(engine.generate(REQUEST, never()))).rejects.toThrow(EngineError);
  });

  test('does not start with a service that does not answer, whatever the garbage collector does', async () => {
    answer = () => undefined;
    const engine = remote(bearer, undefined, 500);
    const starting = expect(engine.start()).rejects.toThrow(/did not answer in 0.5 s/);
    await until(() => asked.length === 1);
    collectGarbage();
    await starting;
    expect(engine.status().state).toBe('failed');
  });

  test('is as slow as the service, never slower than the time limit, and answers again when it is back', async () => {
    const engine = await started();
    const { port } = server.address() as AddressInfo;
    const service = await startTestService({
      engine: engine as unknown as ScriptedEngine,
      config: { limits: { max_request_seconds: 1 } },
    });
    const ask = () =>
      service.call('/v1/chat/completions', { model: 'big', messages: [{ role: 'user', content: 'Hi' }] });
    const codeOf = async (response: Response) =>
      ((await response.json()) as { error: { code: string } }).error.code;

    answer = () => undefined;
    const slow = await ask();
    expect([slow.status, await codeOf(slow)]).toEqual([503, 'queue_timeout']);

    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const gone = await ask();
    expect([gone.status, await codeOf(gone)]).toEqual([502, 'upstream_failed']);

    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    answer = stream(text('back'), END, DONE);
    expect((await ask()).status).toBe(200);
    expect(engine.status()).toMatchObject({ running: 0, waiting: 0 });
  });

  test('stops while it starts: at once, and stays stopped', async () => {
    answer = () => undefined;
    const engine = remote(bearer);
    const starting = engine.start();
    await until(() => asked.length === 1);
    await Promise.all([
      engine.stop(),
      expect(starting).rejects.toMatchObject({ code: 'engine_unavailable' }),
    ]);
    expect(engine.status().state).toBe('stopped');
  });

  test('is not ready when it was stopped before the answer to its first request came', async () => {
    let release: ServerResponse | undefined;
    answer = (_req, res) => (release = res.writeHead(200, { 'Content-Type': 'text/event-stream' }));
    const engine = remote(bearer);
    const starting = engine.start();
    await until(() => release !== undefined);
    release!.end(`data: ${JSON.stringify(END)}\n\n${DONE}`);
    await engine.stop();
    await expect(starting).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(engine.status().state).toBe('stopped');
  });

  test('works through a real service of this kind, and cancels there what is cancelled here', async () => {
    const far = await startTestService();
    const engine = new RemoteEngine({
      service: { endpoint: `${far.url}/api/v1/chat`, auth: { type: 'bearer', token: API_KEY } },
      contextSize: 4096,
      sequences: 4,
    });
    await engine.start();
    const events = await collect(engine.generate(REQUEST, never()));
    expect(events.flatMap((event) => (event.type === 'text' ? [event.text] : []))).toEqual([
      'Hello',
      ' there',
    ]);
    expect(events.at(-1)).toMatchObject({ type: 'end', usage: { promptTokens: 7, cachedTokens: 3 } });

    (far.engine as ScriptedEngine).script = neverEnds();
    for await (const event of engine.generate(REQUEST, never())) if (event.type === 'text') break;
    await until(() => far.engine.cancelled.length === 1);
    expect(engine.status().running).toBe(0);
  });
});
