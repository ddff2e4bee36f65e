import type { ServerResponse } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { EngineError, type GenerateEvent, type GenerateRequest } from '../../../runtime/src/engine/engine';
import { beginning, DONE, END, remoteService, serviceConfig, stream, text } from '../support/remote-service';
import { RemoteEngine } from '../../../runtime/src/engine/remote-engine';
import { neverEnds, type ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();
const service = remoteService();

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

/** What the engine does of itself, sooner or later. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('is ready when the service has answered', async () => {
  const engine = service.engine();
  await engine.start();
  expect(engine.status()).toMatchObject({ state: 'ready', running: 0 });
  expect(service.asked[0]).toMatchObject({
    headers: { authorization: 'Bearer model-api-token' },
    body: { model: 'big', max_tokens: 1, stream: true, stream_options: { include_usage: true } },
  });
});

test('sends an API key in its own header', async () => {
  await service.engine({ auth: { type: 'api_key', token: 'k' } }).start();
  expect(service.asked[0]?.headers).toMatchObject({ 'x-api-key': 'k' });
  expect(service.asked[0]?.headers.authorization).toBeUndefined();
});

test('passes request and answer on, however the bytes are cut', async () => {
  const engine = await service.started();
  const bytes = Buffer.from(
    `: comment\r\n\r\ndata: ${JSON.stringify(text('Grüß'))}\r\n\r\ndata:${JSON.stringify(text(' Gott'))}\n\n` +
      `data: ${JSON.stringify({ ...END, usage: { prompt_tokens: 9, completion_tokens: 4 } })}\n\ndata: [DONE]`,
  );
  service.answer = (_req, res) => {
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
  expect(service.asked[0]?.headers['x-request-id']).toBe('r1');
  expect(service.asked[0]?.body).toEqual({
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

test('asks again over the same connection', async () => {
  const engine = await service.started();
  service.answer = stream(text('a'), END, DONE);
  for (let time = 0; time < 3; time++) await collect(engine.generate(REQUEST, never()));
  expect(service.asked.map(({ connection }) => connection)).toEqual([1, 1, 1]);
});

test.each([
  ['is not one', 'no-jwt', /is not a JWT/],
  ['has expired', `e30.${Buffer.from('{"exp":1000}').toString('base64url')}.x`, /expired at 1970-01-01/],
])('does not start with a JWT that %s', async (_what, token, message) => {
  const engine = service.engine({ auth: { type: 'jwt', token } });
  await expect(engine.start()).rejects.toThrow(message);
  expect(service.asked).toEqual([]);
});

test('says by name that the JWT has expired since', async () => {
  const payload = Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 100 }));
  const token = `e30.${payload.toString('base64url')}.x`;
  const engine = await service.started({ auth: { type: 'jwt', token } });
  const now = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 101_000);
  try {
    await expect(collect(engine.generate(REQUEST, never()))).rejects.toThrow(/expired at .* put a new one/);
  } finally {
    now.mockRestore();
  }
});

test('lets requests wait their turn, and one that leaves the line holds nobody up', async () => {
  const engine = await service.started();
  let release: ServerResponse | undefined;
  service.answer = (_req, res) => (release = res.writeHead(200, { 'Content-Type': 'text/event-stream' }));
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
  service.answer = stream(END, DONE);
  held.end(`data: ${JSON.stringify(END)}\n\n${DONE}`);
  await Promise.all([first, third]);
  expect(engine.status()).toMatchObject({ running: 0, waiting: 0 });
});

test('interrupts what is running when it is stopped', async () => {
  const engine = await service.started();
  service.answer = beginning();
  const running = collect(engine.generate(REQUEST, never()));
  await until(() => service.asked.length === 1);
  await engine.stop();
  await expect(running).rejects.toMatchObject({ code: 'engine_interrupted' });
  await expect(collect(engine.generate(REQUEST, never()))).rejects.toThrow(EngineError);
});

test('does not start with a service that does not answer, whatever the garbage collector does', async () => {
  service.answer = () => undefined;
  const engine = service.engine({}, { probeMs: 500 });
  const starting = expect(engine.start()).rejects.toThrow(/did not answer in 0.5 s/);
  await until(() => service.asked.length === 1);
  collectGarbage();
  await starting;
  expect(engine.status().state).toBe('failed');
});

test('stops while it starts: at once, and stays stopped', async () => {
  service.answer = () => undefined;
  const engine = service.engine();
  const starting = engine.start();
  await until(() => service.asked.length === 1);
  await Promise.all([engine.stop(), expect(starting).rejects.toMatchObject({ code: 'engine_unavailable' })]);
  expect(engine.status().state).toBe('stopped');
});

test('is not ready when it was stopped before the answer to its first request came', async () => {
  let release: ServerResponse | undefined;
  service.answer = (_req, res) => (release = res.writeHead(200, { 'Content-Type': 'text/event-stream' }));
  const engine = service.engine();
  const starting = engine.start();
  await until(() => release !== undefined);
  release!.end(`data: ${JSON.stringify(END)}\n\n${DONE}`);
  await engine.stop();
  await expect(starting).rejects.toMatchObject({ code: 'engine_unavailable' });
  expect(engine.status().state).toBe('stopped');
});

test('works through a real service of this kind, and cancels there what is cancelled here', async () => {
  const far = await startTestService();
  const auth = { type: 'bearer', token: API_KEY };
  const engine = new RemoteEngine({
    service: serviceConfig({ endpoint: `${far.url}/api/v1/chat`, auth }),
    contextSize: 4096,
    sequences: 4,
    log: () => undefined,
  });
  await engine.start();
  const events = await collect(engine.generate(REQUEST, never()));
  expect(events.flatMap((event) => (event.type === 'text' ? [event.text] : []))).toEqual(['Hello', ' there']);
  expect(events.at(-1)).toMatchObject({ type: 'end', usage: { promptTokens: 7, cachedTokens: 3 } });

  (far.engine as ScriptedEngine).script = neverEnds();
  for await (const event of engine.generate(REQUEST, never())) if (event.type === 'text') break;
  await until(() => far.engine.cancelled.length === 1);
  expect(engine.status().running).toBe(0);
  await engine.stop();
});
