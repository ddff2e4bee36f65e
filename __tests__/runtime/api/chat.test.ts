import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { EngineError } from '../../../runtime/src/engine/engine';
import { fails, neverEnds, neverStarts, says, ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, eventsOf, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();

const CHAT = '/v1/chat/completions';
const BODY = { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] };
const STREAM = { ...BODY, stream: true };

interface Chunk {
  id: string;
  object: string;
  choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
  usage?: unknown;
  error?: { code: string };
}
const chunksOf = (text: string) =>
  eventsOf(text)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as Chunk);
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code;

describe('a whole answer', () => {
  test('has OpenAI’s shape', async () => {
    const { call } = await startTestService();
    const response = await call(CHAT, BODY);
    expect(response.status).toBe(200);
    expect(response.headers.get('server-timing')).toMatch(/^engine;dur=\d+\.\d$/);
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
      object: 'chat.completion',
      created: expect.closeTo(Date.now() / 1000, -1),
      model: 'test-model',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello there', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 7,
        completion_tokens: 2,
        total_tokens: 9,
        prompt_tokens_details: { cached_tokens: 3 },
      },
    });
  });

  test('comes by guide B’s route too, without naming a model', async () => {
    const { call, engine } = await startTestService();
    const response = await call('/api/v1/chat', { messages: BODY.messages, temperature: 0.1 });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'Hello there' } }] });
    expect(engine.requests[0]).toMatchObject({ temperature: 0.1, maxTokens: 2048 });
  });

  test('leaves one line in the log, with counts and times and nothing of the conversation', async () => {
    const { call, logged } = await startTestService();
    await call(CHAT, { ...BODY, messages: [{ role: 'user', content: 'private question' }] });
    await until(() => logged().length > 0);
    expect(logged()).toHaveLength(1);
    expect(logged()[0]).toMatch(
      /\[INF\] req=\S+ user=api-key POST \/v1\/chat\/completions 200 prompt=7 cached=3 completion=2 queue=\d\.\d{3}s first=\d\.\d{3}s total=\d\.\d{3}s$/,
    );
    expect(logged()[0]).not.toMatch(/private|Hello/);
  });
});

describe('a streamed answer', () => {
  test('has OpenAI’s chunks in OpenAI’s order', async () => {
    const { call } = await startTestService();
    const response = await call(CHAT, STREAM);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    const text = await response.text();
    const chunks = chunksOf(text);
    expect(eventsOf(text).at(-1)).toBe('[DONE]');
    expect(chunks.map(({ choices: [choice] }) => [choice?.delta, choice?.finish_reason])).toEqual([
      [{ role: 'assistant', content: '' }, null],
      [{ content: 'Hello' }, null],
      [{ content: ' there' }, null],
      [{}, 'stop'],
    ]);
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
    expect(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && !('usage' in chunk))).toBe(
      true,
    );
  });

  test('ends with the usage when asked for it', async () => {
    const { call } = await startTestService();
    const chunks = chunksOf(
      await (await call('/api/v1/chat', { ...STREAM, stream_options: { include_usage: true } })).text(),
    );
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  test('tells an error in the middle as its last event, without [DONE], and logs it as an error', async () => {
    const engine = new ScriptedEngine(fails(new EngineError('engine_interrupted', 'killed'), 'Hel'));
    const { call, logged } = await startTestService({ engine });
    const events = eventsOf(await (await call(CHAT, STREAM)).text());
    expect(JSON.parse(events.at(-1)!)).toMatchObject({
      error: { code: 'engine_interrupted', type: 'server_error' },
    });
    expect(events).not.toContain('[DONE]');
    await until(() => logged().length > 0);
    expect(logged()[0]).toMatch(/\[ERR\].* 200 error=engine_interrupted/);
  });

  test('that fails before it begins has a status of its own', async () => {
    const error = new EngineError('context_length_exceeded', '', { promptTokens: 5000, contextSize: 4096 });
    const { call } = await startTestService({ engine: new ScriptedEngine(fails(error)) });
    const response = await call(CHAT, STREAM);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: 'context_length_exceeded',
        param: 'messages',
        message: expect.stringMatching(/5000 .*4096/),
      },
    });
  });

  test('goes at the pace of its reader, and holds no more than a connection’s buffers', async () => {
    const piece = 'y'.repeat(16_384);
    let made = 0;
    const engine = new ScriptedEngine(async function* () {
      yield { type: 'start', promptTokens: 1, cachedTokens: 0 };
      for (; made < 5000; made++) yield { type: 'text', text: piece, tokens: 1 };
      yield {
        type: 'end',
        finishReason: 'stop',
        usage: { promptTokens: 1, cachedTokens: 0, completionTokens: made },
      };
    });
    const { server } = await startTestService({ engine });
    const socket = connect(server.apiPort, '127.0.0.1');
    socket.pause();
    const body = JSON.stringify(STREAM);
    socket.write(
      `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => made > 0);
    let before = -1;
    while (made !== before) {
      before = made;
      await sleep(100);
    }
    // 80 MB if nothing held it back; the kernel's buffers take a few MB.
    expect(made).toBeLessThan(2500);
    socket.destroy();
    await until(() => engine.cancelled.length === 1);
  });
});

describe('a client that goes away', () => {
  test.each([
    ['from a stream', STREAM],
    ['from a whole answer', BODY],
  ])('%s cancels the engine’s work', async (_what, body) => {
    const endless = neverEnds();
    let taken = 0;
    const engine = new ScriptedEngine(async function* (request, signal) {
      for await (const event of endless(request, signal)) {
        yield event;
        taken++;
      }
    });
    const { call, logged } = await startTestService({ engine });
    const leaving = new AbortController();
    const answer = call(CHAT, body, { signal: leaving.signal }).then((response) => response.text());
    await until(() => engine.requests.length === 1);
    // The start, and a token at least.
    await until(() => taken > 1);
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await until(() => engine.cancelled.length === 1);
    await until(() => logged().length > 0);
    expect(logged()[0]).toMatch(/\[INF\].* 499 prompt=7 .*completion=[1-9]/);
  });
});

describe('the time limit', () => {
  test('ends an answer with what it has', async () => {
    const engine = new ScriptedEngine(neverEnds());
    const { call } = await startTestService({ engine, config: { limits: { max_request_seconds: 1 } } });
    const answer = (await (await call(CHAT, BODY)).json()) as {
      choices: { message: { content: string }; finish_reason: string }[];
      usage: { completion_tokens: number; prompt_tokens: number };
    };
    expect(answer.choices[0]?.finish_reason).toBe('length');
    expect(answer.choices[0]?.message.content).toMatch(/^x+$/);
    expect(answer.usage).toMatchObject({
      prompt_tokens: 7,
      completion_tokens: answer.choices[0]?.message.content.length,
    });
    expect(engine.cancelled).toHaveLength(1);
  });

  test('says that the queue was too long to a request that never began', async () => {
    const engine = new ScriptedEngine(neverStarts());
    const { call } = await startTestService({ engine, config: { limits: { max_request_seconds: 1 } } });
    const response = await call(CHAT, BODY);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('30');
    expect(await codeOf(response)).toBe('queue_timeout');
  });
});

describe('when there is no room', () => {
  test('answers 429 with Retry-After beyond sequences and queue, and lets the next in when one leaves', async () => {
    const engine = new ScriptedEngine(neverEnds());
    const { call, logged } = await startTestService({ engine, config: { limits: { max_queue: 1 } } });
    const leaving = new AbortController();
    const inside = [1, 2, 3].map(() => call(CHAT, BODY, { signal: leaving.signal }).catch(() => undefined));
    await until(() => engine.requests.length === 3);

    const refused = await call(CHAT, BODY);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await refused.json()).toMatchObject({
      error: {
        code: 'server_busy',
        message: expect.stringMatching(/2 sequences at work, 1 request waiting/),
      },
    });
    expect(logged().at(-1)).toMatch(/\[WRN\].* 429 error=server_busy/);

    leaving.abort();
    await Promise.all(inside);
    await until(() => engine.cancelled.length === 3);
    engine.script = says('ok');
    expect((await call(CHAT, BODY)).status).toBe(200);
  });

  test.each(['loading', 'restarting', 'failed'] as const)(
    'answers 503 while the engine is %s',
    async (state) => {
      const { call, engine } = await startTestService();
      engine.changeState(state);
      const response = await call(CHAT, BODY);
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('3');
      expect(await codeOf(response)).toBe('engine_unavailable');
    },
  );
});

describe('what fails below', () => {
  test.each([
    ['upstream_failed', 502, /The remote service failed: it is on fire/],
    ['upstream_refused', 400, /The remote service refused the request: it is on fire/],
    ['upstream_busy', 503, /cannot take the request: it is on fire; try again in 3 seconds/],
    ['engine_interrupted', 503, /ended while it worked/],
    ['model_unusable', 503, /not ready/],
  ] as const)('%s is answered with %i', async (code, status, message) => {
    const { call } = await startTestService({
      engine: new ScriptedEngine(fails(new EngineError(code, 'it is on fire'))),
    });
    const response = await call(CHAT, BODY);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(message) } });
  });

  test('a defect tells the client its request id and the log everything', async () => {
    const { call, logged } = await startTestService({
      engine: new ScriptedEngine(fails(new Error('secret inner detail'))),
    });
    const response = await call(CHAT, BODY, { headers: { 'X-Request-Id': 'my-id.1' } });
    expect(response.status).toBe(500);
    expect(response.headers.get('x-request-id')).toBe('my-id.1');
    const text = await response.text();
    expect(text).toMatch(/request id my-id\.1/);
    expect(text).not.toMatch(/secret inner/);
    await until(() => logged().length === 2);
    expect(logged()[0]).toMatch(/\[ERR\] req=my-id\.1 Error: secret inner detail\\n/);
  });
});
