/** The routes beside chat, and what answers can hold: calls and log-probabilities. Held against the OpenAPI document's schemas. */
import { EngineError, type GenerateEvent } from '../../../runtime/src/engine/engine';
import * as answers from '../../../runtime/src/api/openapi/answers';
import { fails, says, ScriptedEngine } from '../support/scripted-engine';
import { eventsOf, startTestService, stopTestServices } from '../support/test-service';

stopTestServices();

const USAGE = { promptTokens: 7, cachedTokens: 3, completionTokens: 9 };
const TOOLS = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
const MESSAGES = [{ role: 'user', content: 'Hi' }];

function plays(...events: readonly GenerateEvent[]): ScriptedEngine {
  return new ScriptedEngine(async function* () {
    yield { type: 'start', promptTokens: 7, cachedTokens: 3 };
    yield* events;
  });
}
const calls = () =>
  plays(
    { type: 'text', text: 'Wait.', tokens: 1 },
    { type: 'tool-call', index: 0, name: 'weather' },
    { type: 'tool-arguments', index: 0, text: '{"city":', tokens: 2 },
    { type: 'tool-arguments', index: 0, text: '"Oslo"}', tokens: 2 },
    { type: 'tool-call', index: 1, name: 'weather' },
    { type: 'tool-arguments', index: 1, text: '{}', tokens: 1 },
    { type: 'end', finishReason: 'tool_calls', usage: USAGE },
  );
const withLogprobs = () =>
  plays(
    {
      type: 'text',
      text: 'He',
      tokens: 1,
      logprobs: [{ text: 'He', logprob: -0.5, top: [{ text: 'He', logprob: -0.5 }] }],
    },
    { type: 'text', text: 'é', tokens: 1, logprobs: [{ text: 'é', logprob: -Infinity, top: [] }] },
    { type: 'end', finishReason: 'stop', usage: USAGE },
  );
const parsed = (text: string) =>
  eventsOf(text.replaceAll(/^event: .*\n/gm, ''))
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as Record<string, unknown>);

describe('chat', () => {
  const body = { model: 'test-model', messages: MESSAGES, tools: TOOLS };

  test('answers with calls, whole and as a stream alike', async () => {
    const { call } = await startTestService({ engine: calls() });
    const whole = answers.chatCompletion.parse(await (await call('/v1/chat/completions', body)).json());
    const [choice] = whole.choices;
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'Wait.' } });
    const made = choice!.message.tool_calls!;
    expect(made.map((one) => [one.function.name, one.function.arguments])).toEqual([
      ['weather', '{"city":"Oslo"}'],
      ['weather', '{}'],
    ]);
    expect(new Set(made.map(({ id }) => id)).size).toBe(2);

    type Delta = {
      tool_calls?: {
        index: number;
        id?: string;
        type?: string;
        function: { name?: string; arguments: string };
      }[];
    };
    const chunks = parsed(await (await call('/api/v1/chat', { ...body, stream: true })).text());
    const deltas = chunks.flatMap((chunk) => {
      const [first] = chunk['choices'] as { delta: Delta }[];
      return first?.delta.tool_calls ?? [];
    });
    expect(deltas.map(({ index, function: made }) => [index, made])).toEqual([
      [0, { name: 'weather', arguments: '' }],
      [0, { arguments: '{"city":' }],
      [0, { arguments: '"Oslo"}' }],
      [1, { name: 'weather', arguments: '' }],
      [1, { arguments: '{}' }],
    ]);
    expect(
      deltas
        .filter(({ id }) => id !== undefined)
        .every(({ id, type }) => /^call_/.test(id!) && type === 'function'),
    ).toBe(true);
  });

  test('has null for its text when there are only calls', async () => {
    const engine = plays(
      { type: 'tool-call', index: 0, name: 'weather' },
      { type: 'tool-arguments', index: 0, text: '{}', tokens: 1 },
      { type: 'end', finishReason: 'tool_calls', usage: USAGE },
    );
    const { call } = await startTestService({ engine });
    expect(await (await call('/v1/chat/completions', body)).json()).toMatchObject({
      choices: [{ message: { content: null } }],
    });
  });

  test.each([
    ['auto', 'length', null],
    ['required', 'length', null],
    // A stop text was found in it.
    ['required', 'stop', null],
    // The model had nothing to say.
    ['auto', 'stop', ''],
    ['none', 'length', ''],
  ] as const)(
    'has with tool_choice %s and finish reason %s the text %j, if none came',
    async (choice, reason, text) => {
      const engine = plays({ type: 'end', finishReason: reason, usage: USAGE });
      const { call } = await startTestService({ engine });
      const response = await call('/v1/chat/completions', { ...body, tool_choice: choice });
      const { choices } = answers.chatCompletion.parse(await response.json());
      expect(choices[0]).toMatchObject({ message: { content: text }, finish_reason: reason });
      expect(choices[0]?.message).not.toHaveProperty('tool_calls');
    },
  );

  test('carries log-probabilities, with bytes, and no number that JSON does not have', async () => {
    const { call, engine } = await startTestService({ engine: withLogprobs() });
    const request = { model: 'test-model', messages: MESSAGES, logprobs: true, top_logprobs: 1 };
    const whole = answers.chatCompletion.parse(await (await call('/v1/chat/completions', request)).json());
    expect(engine.requests[0]).toMatchObject({ topLogprobs: 1 });
    const content = [
      {
        token: 'He',
        logprob: -0.5,
        bytes: [72, 101],
        top_logprobs: [{ token: 'He', logprob: -0.5, bytes: [72, 101] }],
      },
      { token: 'é', logprob: -9999, bytes: [195, 169], top_logprobs: [] },
    ];
    expect(whole.choices[0]!.logprobs).toEqual({ content, refusal: null });
    const chunks = parsed(await (await call('/v1/chat/completions', { ...request, stream: true })).text());
    const streamed = chunks.flatMap(
      (chunk) =>
        (chunk['choices'] as { logprobs: { content: unknown[] } | null }[])[0]?.logprobs?.content ?? [],
    );
    expect(streamed).toEqual(content);
  });
});

describe('/v1/completions', () => {
  const body = { model: 'test-model', prompt: 'Once' };

  test('continues a text, whole and as a stream', async () => {
    const { call, engine } = await startTestService();
    const whole = answers.textCompletion.parse(
      await (await call('/v1/completions', { ...body, temperature: 0 })).json(),
    );
    expect(whole.choices).toEqual([{ text: 'Hello there', index: 0, logprobs: null, finish_reason: 'stop' }]);
    expect(engine.requests[0]).toMatchObject({ input: { prompt: 'Once' }, maxTokens: 16, temperature: 0 });
    const text = await (
      await call('/v1/completions', {
        ...body,
        prompt: ['Once'],
        stream: true,
        stream_options: { include_usage: true },
      })
    ).text();
    const chunks = parsed(text) as {
      choices: { text: string; finish_reason: string | null }[];
      usage: unknown;
    }[];
    expect(chunks.map(({ choices }) => choices[0]?.text)).toEqual(['Hello', ' there', '', undefined]);
    expect(chunks.at(-1)!.usage).toMatchObject({ completion_tokens: 2 });
    expect(eventsOf(text).at(-1)).toBe('[DONE]');
  });

  test('has log-probabilities in lists side by side', async () => {
    const { call } = await startTestService({ engine: withLogprobs() });
    const whole = answers.textCompletion.parse(
      await (await call('/v1/completions', { ...body, logprobs: 1 })).json(),
    );
    expect(whole.choices[0]!.logprobs).toEqual({
      tokens: ['He', 'é'],
      token_logprobs: [-0.5, -9999],
      top_logprobs: [{ He: -0.5 }, {}],
      text_offset: [0, 2],
    });
  });

  test.each([
    [{ echo: true }, 'unsupported_parameter', 'echo'],
    [{ best_of: 2 }, 'unsupported_parameter', 'best_of'],
    [{ suffix: 'x' }, 'unsupported_parameter', 'suffix'],
    [{ prompt: ['a', 'b'] }, 'invalid_value', 'prompt'],
    [{ prompt: '' }, 'invalid_value', 'prompt'],
  ])('refuses %j', async (extra, code, param) => {
    const { call } = await startTestService();
    expect(await (await call('/v1/completions', { ...body, ...extra })).json()).toMatchObject({
      error: { code, param },
    });
  });
});

describe('/v1/responses', () => {
  const body = { model: 'test-model', input: 'Hi' };

  test('answers in items', async () => {
    const { call, engine } = await startTestService();
    const request = { ...body, instructions: 'Be brief.', max_output_tokens: 9, metadata: { a: 'b' } };
    const given = await (await call('/v1/responses', request)).json();
    expect(answers.responseObject.parse(given)).toMatchObject({
      status: 'completed',
      usage: { input_tokens: 7, output_tokens: 2 },
    });
    expect(given).toMatchObject({
      output: [{ type: 'message', content: [{ text: 'Hello there' }] }],
      metadata: { a: 'b' },
      store: false,
    });
    expect(engine.requests[0]).toMatchObject({
      maxTokens: 9,
      input: {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Hi' },
        ],
      },
    });
  });

  test('streams named and numbered events, whose last holds the same as the whole answer', async () => {
    const { call } = await startTestService({ engine: calls() });
    const text = await (await call('/v1/responses', { ...body, stream: true })).text();
    const events = parsed(text);
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, at) => at));
    expect([...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)).toEqual(
      events.map(({ type }) => type),
    );
    expect(events.map(({ type }) => (type as string).replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'output_item.added',
      'function_call_arguments.delta',
      'function_call_arguments.done',
      'output_item.done',
      'completed',
    ]);
    const last = answers.responseObject.parse(events.at(-1)!['response']);
    expect(last.output).toMatchObject([
      { type: 'message', content: [{ text: 'Wait.' }] },
      { type: 'function_call', name: 'weather', arguments: '{"city":"Oslo"}' },
      { type: 'function_call', name: 'weather', arguments: '{}' },
    ]);
    expect(text).not.toMatch(/\[DONE\]/);
  });

  test('is incomplete when the tokens were not enough', async () => {
    const { call } = await startTestService({
      engine: plays({ type: 'end', finishReason: 'length', usage: USAGE }),
    });
    const given = answers.responseObject.parse(await (await call('/v1/responses', body)).json());
    expect(given).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete' }],
    });
  });

  test('takes back what it answered, with the results of its calls', async () => {
    const { call, engine } = await startTestService();
    const input = [
      { role: 'user', content: [{ type: 'input_text', text: 'Weather?' }] },
      {
        id: 'msg_1',
        type: 'message',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'Wait.', annotations: [], logprobs: [] }],
      },
      {
        id: 'fc_1',
        type: 'function_call',
        status: 'completed',
        call_id: 'c1',
        name: 'weather',
        arguments: '{}',
      },
      { type: 'function_call_output', call_id: 'c1', output: 'rain' },
    ];
    expect((await call('/v1/responses', { ...body, input })).status).toBe(200);
    expect(engine.requests[0]!.input).toEqual({
      messages: [
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: 'Wait.', toolCalls: [{ id: 'c1', name: 'weather', arguments: '{}' }] },
        { role: 'tool', content: 'rain', toolCallId: 'c1' },
      ],
    });
  });

  test('tells an error in the middle as an event', async () => {
    const { call } = await startTestService({
      engine: new ScriptedEngine(fails(new EngineError('engine_interrupted', ''), 'Hel')),
    });
    expect(
      parsed(await (await call('/v1/responses', { ...body, stream: true })).text()).at(-1),
    ).toMatchObject({ type: 'error', code: 'engine_interrupted' });
  });

  test.each([
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ store: true }, 'store'],
    [{ background: true }, 'background'],
    [{ conversation: 'c' }, 'conversation'],
    [{ truncation: 'auto' }, 'truncation'],
  ])('refuses %j', async (extra, param) => {
    const { call } = await startTestService();
    expect(await (await call('/v1/responses', { ...body, ...extra })).json()).toMatchObject({
      error: { code: 'unsupported_parameter', param },
    });
  });
});

test.each([
  ['/v1/chat/completions', { messages: MESSAGES }, 'messages'],
  ['/v1/completions', { prompt: 'x' }, 'prompt'],
  ['/v1/responses', { input: 'x' }, 'input'],
])('%s names its own field when the prompt does not fit', async (path, body, param) => {
  const error = new EngineError('context_length_exceeded', '', { promptTokens: 5000, contextSize: 4096 });
  const { call } = await startTestService({ engine: new ScriptedEngine(fails(error)) });
  const response = await call(path, { model: 'test-model', ...body });
  expect([response.status, await response.json()]).toMatchObject([
    400,
    { error: { code: 'context_length_exceeded', param, message: expect.stringMatching(/5000 .*4096/) } },
  ]);
});

test('/v1/embeddings is refused, with the reason', async () => {
  const { call } = await startTestService();
  const response = await call('/v1/embeddings', { model: 'test-model', input: 'Hi' });
  expect([response.status, await response.json()]).toEqual([
    400,
    { error: expect.objectContaining({ code: 'embeddings_unsupported', param: 'model' }) },
  ]);
});

test('a remote service is asked for conversations only, and judges schemas itself', async () => {
  const engine = new ScriptedEngine(says('ok'));
  Object.assign(engine.model, { isRemote: true });
  const { call } = await startTestService({ engine });
  const chat = { model: 'test-model', messages: MESSAGES };
  const schema = { type: 'object', if: { required: ['a'] } };
  const format = { type: 'json_schema', json_schema: { name: 'x', strict: false, schema } };
  const results = await Promise.all([
    call('/v1/chat/completions', { ...chat, tools: TOOLS, logprobs: true }),
    call('/v1/chat/completions', { ...chat, response_format: format }),
    call('/v1/completions', { model: 'test-model', prompt: 'x' }),
  ]);
  expect(results.map(({ status }) => status)).toEqual([200, 200, 400]);
  expect(engine.requests.map((request) => request.format)).toContainEqual({
    type: 'json_schema',
    name: 'x',
    strict: false,
    schema,
  });
});
