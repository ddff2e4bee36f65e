/** Two real services in a row: what a client asks of the near one reaches the far one's engine, and comes back. */
import type { GenerateEvent } from '../../../../runtime/src/engine/engine';
import { RemoteEngine } from '../../../../runtime/src/engine/remote-engine';
import { serviceConfig } from '../../support/remote-service';
import { ScriptedEngine } from '../../support/scripted-engine';
import { API_KEY, eventsOf, startTestService, stopTestServices } from '../../support/test-service';

stopTestServices();

const CHAT = '/v1/chat/completions';
const USAGE = { promptTokens: 11, cachedTokens: 5, completionTokens: 6 };
const TOOLS = [
  {
    name: 'weather',
    description: 'Of a place',
    parameters: { type: 'object', properties: { place: { type: 'string' } } },
  },
  { name: 'time' },
];

/** Asks the near service, the far one's engine saying these events. */
async function through(body: object, events: readonly GenerateEvent[], path = CHAT) {
  const farEngine = new ScriptedEngine(async function* () {
    yield { type: 'start', promptTokens: USAGE.promptTokens, cachedTokens: USAGE.cachedTokens };
    yield* events;
  });
  const far = await startTestService({ engine: farEngine });
  const engine = new RemoteEngine({
    service: serviceConfig({ endpoint: `${far.url}${CHAT}`, auth: { type: 'bearer', token: API_KEY } }),
    model: 'test-model',
    contextSize: 4096,
    sequences: 2,
    log: () => undefined,
  });
  await engine.start();
  const near = await startTestService({ engine: engine as unknown as ScriptedEngine });
  const response = await near.call(path, { model: 'test-model', ...body });
  const text = await response.text();
  await engine.stop();
  return { status: response.status, text, reached: farEngine.requests[1]! };
}

const end = (finishReason: 'stop' | 'tool_calls'): GenerateEvent => ({
  type: 'end',
  finishReason,
  usage: USAGE,
});

const CALLS: readonly GenerateEvent[] = [
  { type: 'tool-call', index: 0, name: 'weather' },
  { type: 'tool-arguments', index: 0, text: '{"place":', tokens: 2 },
  { type: 'tool-arguments', index: 0, text: '"Oslo"}', tokens: 2 },
  { type: 'tool-call', index: 1, name: 'time' },
  { type: 'tool-arguments', index: 1, text: '{}', tokens: 2 },
  end('tool_calls'),
];

const CONVERSATION = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Weather?' },
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'time', arguments: '{}' } }],
  },
  { role: 'tool', tool_call_id: 'call_1', content: 'noon' },
];

test('tools: choice, results and calls, whole and streamed', async () => {
  const tools = TOOLS.map((one) => ({ type: 'function', function: one }));
  const body = {
    messages: CONVERSATION,
    tools,
    tool_choice: { type: 'function', function: { name: 'weather' } },
    parallel_tool_calls: false,
    stop: ['END'],
    seed: 3,
    max_tokens: 50,
  };
  const whole = await through(body, CALLS);
  expect(whole.reached).toMatchObject({
    input: {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'time', arguments: '{}' }] },
        { role: 'tool', content: 'noon', toolCallId: 'call_1' },
      ],
    },
    tools: { functions: TOOLS, choice: { name: 'weather' }, parallel: false },
    stop: ['END'],
    seed: 3,
    maxTokens: 50,
  });
  expect(JSON.parse(whole.text)).toMatchObject({
    choices: [
      {
        finish_reason: 'tool_calls',
        message: {
          content: null,
          tool_calls: [
            {
              id: expect.stringMatching(/^call_/),
              function: { name: 'weather', arguments: '{"place":"Oslo"}' },
            },
            { id: expect.stringMatching(/^call_/), function: { name: 'time', arguments: '{}' } },
          ],
        },
      },
    ],
    usage: { prompt_tokens: 11, completion_tokens: 6, prompt_tokens_details: { cached_tokens: 5 } },
  });

  const streamed = await through({ ...body, tool_choice: 'required', stream: true }, CALLS);
  expect(streamed.reached.tools?.choice).toBe('required');
  const pieces = eventsOf(streamed.text)
    .filter((event) => event !== '[DONE]')
    .flatMap((event) => (JSON.parse(event) as { choices: { delta: { tool_calls?: object[] } }[] }).choices)
    .flatMap(({ delta }) => delta.tool_calls ?? []);
  expect(pieces).toMatchObject([
    { index: 0, type: 'function', function: { name: 'weather' } },
    { index: 0, function: { arguments: '{"place":' } },
    { index: 0, function: { arguments: '"Oslo"}' } },
    { index: 1, type: 'function', function: { name: 'time' } },
    { index: 1, function: { arguments: '{}' } },
  ]);
});

test.each([
  ['json_object', { type: 'json_object' }],
  [
    'json_schema',
    { type: 'json_schema', name: 'x', schema: { type: 'object', properties: { a: { type: 'integer' } } } },
  ],
] as const)('response_format: %s', async (type, format) => {
  const asked =
    type === 'json_object'
      ? format
      : { type, json_schema: { name: format.name, strict: true, schema: format.schema } };
  const { reached, status } = await through({ messages: CONVERSATION.slice(0, 2), response_format: asked }, [
    { type: 'text', text: '{"a":1}', tokens: 6 },
    end('stop'),
  ]);
  expect(status).toBe(200);
  expect(reached.format).toEqual(format);
});

test('logprobs, whole and streamed', async () => {
  const logprobs = [
    {
      text: 'H',
      logprob: -0.5,
      top: [
        { text: 'H', logprob: -0.5 },
        { text: 'J', logprob: -2 },
      ],
    },
    { text: '\uFFFD', bytes: [195], logprob: -1, top: [] },
  ];
  const body = { messages: CONVERSATION.slice(0, 2), logprobs: true, top_logprobs: 2 };
  const events: GenerateEvent[] = [{ type: 'text', text: 'Hi', tokens: 2, logprobs }, end('stop')];
  const expected = [
    {
      token: 'H',
      logprob: -0.5,
      bytes: [72],
      top_logprobs: [
        { token: 'H', logprob: -0.5, bytes: [72] },
        { token: 'J', logprob: -2, bytes: [74] },
      ],
    },
    { token: '\uFFFD', logprob: -1, bytes: [195], top_logprobs: [] },
  ];
  const whole = await through(body, events);
  expect(whole.reached.topLogprobs).toBe(2);
  expect(JSON.parse(whole.text)).toMatchObject({ choices: [{ logprobs: { content: expected } }] });
  const streamed = await through({ ...body, stream: true }, events);
  expect(eventsOf(streamed.text).some((event) => event.includes('"logprob":-0.5'))).toBe(true);
});

test('the same through /v1/responses', async () => {
  const { reached, text } = await through(
    { input: 'Weather?', tools: [{ type: 'function', name: 'time' }], tool_choice: 'required' },
    CALLS.slice(3).map((event) => ('index' in event ? { ...event, index: 0 } : event)),
    '/v1/responses',
  );
  expect(reached.tools).toMatchObject({ functions: [{ name: 'time' }], choice: 'required' });
  expect(JSON.parse(text)).toMatchObject({
    output: [{ type: 'function_call', name: 'time', arguments: '{}' }],
  });
});
