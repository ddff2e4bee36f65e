/** What OpenAI's client makes of an answer goes back to the service with the next request: it says more than the answer did. */
import OpenAI from 'openai';

import type { GenerateEvent } from '../../../runtime/src/engine/engine';
import { ScriptedEngine, type Script } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices } from '../support/test-service';

stopTestServices();

const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 1 };
const tool = {
  name: 'weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
} as const;

async function* events(...all: readonly GenerateEvent[]): AsyncGenerator<GenerateEvent, void> {
  await Promise.resolve();
  yield { type: 'start', promptTokens: 1, cachedTokens: 0 };
  yield* all;
}

/** Calls the tool, and says what came of it once it knows. */
const caller: Script = ({ input }) => {
  const last = 'messages' in input ? input.messages.at(-1) : undefined;
  return last?.role === 'tool'
    ? events(
        { type: 'text', text: `It is ${last.content}.`, tokens: 1 },
        { type: 'end', finishReason: 'stop', usage },
      )
    : events(
        { type: 'tool-call', index: 0, name: tool.name },
        { type: 'tool-arguments', index: 0, text: '{"city":"Oslo"}', tokens: 1 },
        { type: 'end', finishReason: 'tool_calls', usage },
      );
};

const says =
  (text: string): Script =>
  () =>
    events({ type: 'text', text, tokens: 1 }, { type: 'end', finishReason: 'stop', usage });

async function connected(script: Script) {
  const engine = new ScriptedEngine(script);
  const { url } = await startTestService({ engine });
  return { engine, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: API_KEY, maxRetries: 0 }) };
}

test('a chat whose tools the client runs by itself', async () => {
  const { client } = await connected(caller);
  const run = client.chat.completions.runTools({
    model: 'test-model',
    messages: [{ role: 'user', content: 'Oslo?' }],
    tools: [
      {
        type: 'function',
        function: {
          ...tool,
          description: 'The weather',
          parse: JSON.parse as (text: string) => { city: string },
          function: ({ city }: { city: string }) => `sunny in ${city}`,
        },
      },
    ],
  });
  expect(await run.finalContent()).toBe('It is sunny in Oslo.');
});

test('an answer that the client has parsed', async () => {
  const { client, engine } = await connected(says('{"city":"Oslo"}'));
  const question = { role: 'user', content: 'Where?' } as const;
  const schema = { name: 'place', schema: tool.parameters };
  const format = { type: 'json_schema', json_schema: schema } as const;
  const request = { model: 'test-model', messages: [question], response_format: format };
  const { message } = (await client.chat.completions.parse(request)).choices[0]!;
  expect(message).toHaveProperty('parsed');
  await client.chat.completions.create({ model: 'test-model', messages: [question, message, question] });
  expect(engine.requests.at(-1)?.input).toEqual({
    messages: [question, { role: 'assistant', content: '{"city":"Oslo"}' }, question],
  });
});

test('an answer of /v1/responses that the client has parsed', async () => {
  const { client } = await connected(caller);
  const tools = [{ type: 'function', strict: true, ...tool }] as never;
  const input = [{ role: 'user', content: 'Oslo?' }] as const;
  const first = await client.responses.parse({ model: 'test-model', input: [...input], tools });
  const [call] = first.output;
  if (call?.type !== 'function_call') throw new Error('no call came');
  expect(call).toHaveProperty('parsed_arguments');
  const result = { type: 'function_call_output', call_id: call.call_id, output: 'rainy' } as const;
  const second = await client.responses.create({
    model: 'test-model',
    input: [...input, call, result],
    tools,
  });
  expect(second.output_text).toBe('It is rainy.');
});

test('what is wrong in a request for a response is said in this service’s words', async () => {
  const { client } = await connected(says('x'));
  const refused = (extra: object) =>
    client.responses.create({ model: 'test-model', input: 'x', ...extra }).then(
      () => 'nothing',
      (error: Error) => error.message,
    );
  for (const [extra, text] of [
    [{ input: '' }, 'Expected `input` to be a text, or a list of messages'],
    [{ input: [] }, 'Expected `input` to be a text, or a list of messages'],
    [
      { text: { verbosity: 'low' } },
      'Expected `text.verbosity` to be "medium": its model has no such setting',
    ],
    [{ metadata: { a: 1 } }, 'Expected `metadata.a` to be a text of at most 512 characters'],
    [
      { stream_options: { include_obfuscation: true } },
      'Expected `stream_options.include_obfuscation` to be false',
    ],
  ] as const)
    expect(await refused(extra)).toContain(text);
});
