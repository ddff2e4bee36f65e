import { parseChatRequest } from '../../../runtime/src/api/chat-request';
import type { RequestRules } from '../../../runtime/src/api/sampling-fields';
import type { ApiError } from '../../../runtime/src/errors/api-error';

const RULES: RequestRules = {
  models: ['m'],
  modelRequired: true,
  contextSize: 4096,
  defaults: { maxTokens: 2048, temperature: 0.7 },
};
const BODY = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

const tool = (extra: object) => ({ type: 'function', function: { name: 'f', ...extra } });
const asked = (id: string, given = '{"a":1}') => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id, type: 'function', function: { name: 'f', arguments: given } }],
});

const parse = (body: object, rules: Partial<RequestRules> = {}) =>
  parseChatRequest({ ...BODY, ...body }, { ...RULES, ...rules });

function refusal(body: unknown): Pick<ApiError, 'code' | 'param' | 'message'> {
  try {
    parseChatRequest(body, RULES);
  } catch (error) {
    const { code, param, message } = error as ApiError;
    return { code, param, message };
  }
  throw new Error('it was accepted');
}

describe('parseChatRequest accepts', () => {
  test('the least there is, with the configured defaults', () => {
    expect(parse({})).toEqual({
      stream: false,
      includeUsage: false,
      generate: {
        input: { messages: [{ role: 'user', content: 'Hi' }] },
        maxTokens: 2048,
        temperature: 0.7,
        topP: 1,
        frequencyPenalty: 0,
        presencePenalty: 0,
        stop: [],
      },
    });
  });

  test('every setting there is', () => {
    const settings = {
      top_p: 0.5,
      frequency_penalty: -2,
      presence_penalty: 2,
      temperature: 0,
      seed: 7,
      stop: 'END',
    };
    const usage = {
      stream: true,
      stream_options: { include_usage: true },
      user: 'u',
      max_completion_tokens: 1,
    };
    expect(parse({ ...settings, ...usage })).toMatchObject({
      stream: true,
      includeUsage: true,
      generate: {
        topP: 0.5,
        frequencyPenalty: -2,
        presencePenalty: 2,
        temperature: 0,
        seed: 7,
        stop: ['END'],
        maxTokens: 1,
      },
    });
  });

  test('null for "not set", as OpenAI’s clients write it', () => {
    const nulls = { temperature: null, stop: null, seed: null, max_tokens: null, tools: null, stream: null };
    expect(parse(nulls).generate).toEqual(parse({}).generate);
  });

  test('settings that ask for nothing special', () => {
    const neutral = {
      n: 1,
      logprobs: false,
      stop: [],
      tools: [],
      tool_choice: 'auto',
      response_format: { type: 'text' },
      logit_bias: {},
    };
    expect(parse(neutral).generate).toEqual(parse({}).generate);
  });

  test('content in parts, developer’s messages, and an answer sent back as it came', () => {
    const answer = { role: 'assistant', content: 'Hello', refusal: null, annotations: [], tool_calls: [] };
    const parts = {
      role: 'user',
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    };
    const { input } = parse({ messages: [{ role: 'developer', content: 'd' }, answer, parts] }).generate;
    expect(input).toEqual({
      messages: [
        { role: 'system', content: 'd' },
        { role: 'assistant', content: 'Hello' },
        { role: 'user', content: 'a\nb' },
      ],
    });
  });

  test('tools, a choice among them, and calls with their results', () => {
    const parameters = { type: 'object', properties: { a: { type: 'integer' } } };
    const messages = [...BODY.messages, asked('c1'), { role: 'tool', tool_call_id: 'c1', content: '42' }];
    const { generate } = parse({
      messages,
      tools: [tool({ description: 'd', parameters, strict: true }), tool({ name: 'g' })],
      tool_choice: { type: 'function', function: { name: 'g' } },
      parallel_tool_calls: false,
    });
    expect(generate.tools).toEqual({
      functions: [{ name: 'f', description: 'd', parameters }, { name: 'g' }],
      choice: { name: 'g' },
      parallel: false,
    });
    expect(generate.input).toMatchObject({
      messages: [
        {},
        { role: 'assistant', content: '', toolCalls: [{ id: 'c1', name: 'f', arguments: '{"a":1}' }] },
        { role: 'tool', content: '42', toolCallId: 'c1' },
      ],
    });
    expect(parse({ tools: [tool({})] }).generate.tools).toMatchObject({ choice: 'auto', parallel: true });
    expect(parse({ tools: [tool({})], tool_choice: 'none' }).generate).not.toHaveProperty('tools');
  });

  test('formats and log-probabilities', () => {
    const schema = { type: 'object', properties: {} };
    const named = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } };
    expect(parse({ response_format: named }).generate.format).toEqual({
      type: 'json_schema',
      name: 'x',
      schema,
    });
    expect(parse({ response_format: { type: 'json_object' } }).generate.format).toEqual({
      type: 'json_object',
    });
    expect(parse({ logprobs: true, top_logprobs: 3 }).generate.topLogprobs).toBe(3);
    expect(parse({ logprobs: true }).generate.topLogprobs).toBe(0);
  });

  test('any whole number as a seed, in the sampler’s 32 bits', () => {
    expect(parse({ seed: -1 }).generate.seed).toBe(4294967295);
    expect(parse({ seed: 2 ** 40 + 5 }).generate.seed).toBe(5);
  });

  test('no model where it is optional', () => {
    expect(parse({ model: undefined }, { modelRequired: false }).stream).toBe(false);
  });

  test('a default longer than the context, cut to it', () => {
    expect(parse({}, { contextSize: 512 }).generate.maxTokens).toBe(512);
  });
});

describe('parseChatRequest refuses', () => {
  const message = (extra: object) => ({ ...BODY, messages: [{ role: 'user', content: 'Hi', ...extra }] });

  test.each<[string, unknown, string, string | null, RegExp]>([
    ['a list', [], 'invalid_value', null, /Expected the body to be a JSON object/],
    ['null', null, 'invalid_value', null, /JSON object/],
    ['no model', { messages: BODY.messages }, 'missing_parameter', 'model', /`model` is missing/],
    ['no messages', { model: 'm' }, 'missing_parameter', 'messages', /`messages` is missing/],
    [
      'empty messages',
      { model: 'm', messages: [] },
      'invalid_value',
      'messages',
      /at least one message, got \[\]/,
    ],
    [
      'an unknown model',
      { ...BODY, model: 'gpt-4o' },
      'model_not_found',
      'model',
      /`gpt-4o` is not served here; available: m/,
    ],
    [
      'max_tokens -5',
      { ...BODY, max_tokens: -5 },
      'invalid_value',
      'max_tokens',
      /^Expected `max_tokens` to be an integer from 1 to 4096, got -5$/,
    ],
    ['max_tokens 1.5', { ...BODY, max_tokens: 1.5 }, 'invalid_value', 'max_tokens', /got 1\.5/],
    [
      'two limits',
      { ...BODY, max_tokens: 1, max_completion_tokens: 2 },
      'invalid_value',
      'max_tokens',
      /mean the same/,
    ],
    [
      'temperature 2.1',
      { ...BODY, temperature: 2.1 },
      'invalid_value',
      'temperature',
      /a number from 0 to 2, got 2\.1/,
    ],
    ['temperature "hot"', { ...BODY, temperature: 'hot' }, 'invalid_value', 'temperature', /got "hot"/],
    ['top_p 1.1', { ...BODY, top_p: 1.1 }, 'invalid_value', 'top_p', /from 0 to 1/],
    ['a penalty of 3', { ...BODY, presence_penalty: 3 }, 'invalid_value', 'presence_penalty', /from -2 to 2/],
    ['five stops', { ...BODY, stop: ['a', 'b', 'c', 'd', 'e'] }, 'invalid_value', 'stop', /at most 4 texts/],
    ['an empty stop', { ...BODY, stop: '' }, 'invalid_value', 'stop', /none empty/],
    ['stream "yes"', { ...BODY, stream: 'yes' }, 'invalid_value', 'stream', /true or false/],
    [
      'stream_options alone',
      { ...BODY, stream_options: { include_usage: true } },
      'invalid_value',
      'stream_options',
      /only allowed with/,
    ],
    [
      'an unknown name',
      { ...BODY, temprature: 1 },
      'unknown_parameter',
      'temprature',
      /did you mean `temperature`\?/,
    ],
    [
      '__proto__',
      JSON.parse('{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":1}'),
      'unknown_parameter',
      '__proto__',
      /not known/,
    ],
    ['constructor', { ...BODY, constructor: 1 }, 'unknown_parameter', 'constructor', /not known/],
    ['two answers', { ...BODY, n: 2 }, 'unsupported_parameter', 'n', /one answer to a request/],
    ['a bias', { ...BODY, logit_bias: { 7: 1 } }, 'unsupported_parameter', 'logit_bias', /no bias/],
    [
      'a broken tool',
      { ...BODY, tools: [{ type: 'function' }] },
      'missing_parameter',
      'tools[0].function',
      /is missing/,
    ],
    [
      'a tool that is none',
      { ...BODY, tools: [{ type: 'mcp' }] },
      'invalid_value',
      'tools[0].type',
      /one of function/,
    ],
    [
      'a tool’s name with a space',
      { ...BODY, tools: [tool({ name: 'a b' })] },
      'invalid_value',
      'tools[0].function.name',
      /letters, digits/,
    ],
    [
      'two tools of one name',
      { ...BODY, tools: [tool({}), tool({})] },
      'invalid_value',
      'tools',
      /`f` twice/,
    ],
    [
      'a keyword of a tool’s schema',
      {
        ...BODY,
        tools: [
          tool({ parameters: { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } } }),
        ],
      },
      'unsupported_parameter',
      'tools[0].function.parameters.properties.a.uniqueItems',
      /^`tools\[0\].*uniqueItems` is not supported by this service$/,
    ],
    [
      'a required tool without tools',
      { ...BODY, tool_choice: 'required' },
      'invalid_value',
      'tool_choice',
      /there are no `tools`/,
    ],
    [
      'a tool that is not there',
      { ...BODY, tools: [tool({})], tool_choice: { type: 'function', function: { name: 'g' } } },
      'invalid_value',
      'tool_choice',
      /one of the tools, got `g`/,
    ],
    [
      'a keyword of the answer’s schema',
      {
        ...BODY,
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { oneOf: [true, true] } } },
      },
      'unsupported_parameter',
      'response_format.json_schema.schema.oneOf',
      /use `anyOf`/,
    ],
    [
      'an unknown format',
      { ...BODY, response_format: { type: 'grammar' } },
      'invalid_value',
      'response_format.type',
      /"json_object"/,
    ],
    [
      'top_logprobs alone',
      { ...BODY, top_logprobs: 2 },
      'invalid_value',
      'top_logprobs',
      /only allowed with/,
    ],
    ['21 of them', { ...BODY, logprobs: true, top_logprobs: 21 }, 'invalid_value', 'top_logprobs', /0 to 20/],
    [
      'a call without its result',
      { ...BODY, messages: [...BODY.messages, asked('c1')] },
      'invalid_value',
      'messages',
      /The call `c1` has no answer/,
    ],
    [
      'a result without its call',
      { ...BODY, messages: [...BODY.messages, { role: 'tool', tool_call_id: 'c9', content: '1' }] },
      'invalid_value',
      'messages[1].tool_call_id',
      /to be the id of a call/,
    ],
    [
      'arguments that are no JSON',
      { ...BODY, messages: [...BODY.messages, asked('c1', '{a:1}')] },
      'invalid_value',
      'messages[1].tool_calls[0].function.arguments',
      /a JSON object, as a text/,
    ],
    [
      'an unknown role',
      message({ role: 'narrator' }),
      'invalid_value',
      'messages[0].role',
      /one of system, developer, user, assistant/,
    ],
    ['a named speaker', message({ name: 'Ada' }), 'invalid_value', 'messages[0].name', /no place for names/],
    [
      'an image',
      message({ content: [{ type: 'image_url', image_url: {} }] }),
      'unsupported_parameter',
      'messages[0].content[0].type',
      /reads text only/,
    ],
    [
      'content 7',
      message({ content: 7 }),
      'invalid_value',
      'messages[0].content',
      /a text, or a list of parts/,
    ],
    ['no content', message({ content: null }), 'invalid_value', 'messages[0].content', /a text, or a list/],
    [
      'an empty answer',
      message({ role: 'assistant', content: null }),
      'invalid_value',
      'messages[0].content',
      /or `tool_calls`/,
    ],
    [
      'a misspelt message field',
      message({ contents: 'x' }),
      'unknown_parameter',
      'messages[0].contents',
      /not known/,
    ],
  ])('%s', (_what, body, code, param, text) => {
    const { code: gotCode, param: gotParam, message: gotText } = refusal(body);
    expect([gotCode, gotParam]).toEqual([code, param]);
    expect(gotText).toMatch(text);
  });

  test('a value nested deeper than the stack, without falling over', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const body = JSON.parse(
      `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":${deep}}`,
    ) as unknown;
    expect(refusal(body)).toMatchObject({ code: 'invalid_value', param: 'max_tokens' });
  });
});
