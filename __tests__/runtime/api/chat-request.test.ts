import { parseChatRequest, type ChatRequestRules } from '../../../runtime/src/api/chat-request';
import type { ApiError } from '../../../runtime/src/errors/api-error';

const RULES: ChatRequestRules = {
  models: ['m'],
  modelRequired: true,
  contextSize: 4096,
  defaults: { maxTokens: 2048, temperature: 0.7 },
};
const BODY = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] };

const parse = (body: object, rules: Partial<ChatRequestRules> = {}) =>
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
    ['tools', { ...BODY, tools: [{ type: 'function' }] }, 'unsupported_parameter', 'tools', /calls no tools/],
    [
      'a required tool',
      { ...BODY, tool_choice: 'required' },
      'unsupported_parameter',
      'tool_choice',
      /calls no tools/,
    ],
    [
      'JSON mode',
      { ...BODY, response_format: { type: 'json_object' } },
      'unsupported_parameter',
      'response_format',
      /text only/,
    ],
    ['logprobs', { ...BODY, logprobs: true }, 'unsupported_parameter', 'logprobs', /no log-probabilities/],
    [
      'an unknown role',
      message({ role: 'narrator' }),
      'invalid_value',
      'messages[0].role',
      /one of system, developer, user, assistant/,
    ],
    [
      'a tool’s message',
      message({ role: 'tool' }),
      'unsupported_parameter',
      'messages[0].role',
      /calls no tools/,
    ],
    [
      'a named speaker',
      message({ name: 'Ada' }),
      'unsupported_parameter',
      'messages[0].name',
      /no place for names/,
    ],
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
    ['no content', message({ content: null }), 'missing_parameter', 'messages[0].content', /is missing/],
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
