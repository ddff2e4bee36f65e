/** Parameters that OpenAI's API has and this service does not: refused by name, unless their value asks for nothing. */
import { isDeepStrictEqual } from 'node:util';

import { ApiError } from '../errors/api-error.js';

interface Unsupported {
  /** Values that mean the same as leaving the parameter out. */
  readonly neutral: readonly unknown[];
  readonly why: string;
}

const NO_TOOLS = 'it calls no tools or functions';
const NO_LOGPROBS = 'it returns no log-probabilities';

const UNSUPPORTED: Readonly<Record<string, Unsupported>> = {
  n: { neutral: [1], why: 'it gives one answer to a request; send several requests' },
  tools: { neutral: [[]], why: NO_TOOLS },
  tool_choice: { neutral: ['none', 'auto'], why: NO_TOOLS },
  parallel_tool_calls: { neutral: [true, false], why: NO_TOOLS },
  functions: { neutral: [[]], why: NO_TOOLS },
  function_call: { neutral: ['none', 'auto'], why: NO_TOOLS },
  response_format: {
    neutral: [{ type: 'text' }],
    why: 'it answers in text only; ask for JSON in the messages',
  },
  logprobs: { neutral: [false], why: NO_LOGPROBS },
  top_logprobs: { neutral: [0], why: NO_LOGPROBS },
  logit_bias: { neutral: [{}], why: 'it takes no bias of tokens' },
  modalities: { neutral: [['text']], why: 'it answers in text only' },
  audio: { neutral: [], why: 'it answers in text only' },
  prediction: { neutral: [], why: 'it does not use predicted answers' },
  reasoning_effort: { neutral: ['none'], why: 'its model has no such setting' },
  verbosity: { neutral: ['medium'], why: 'its model has no such setting' },
  store: { neutral: [false], why: 'it keeps no conversations' },
  metadata: { neutral: [{}], why: 'it keeps no conversations' },
  service_tier: { neutral: ['auto', 'default'], why: 'all requests are treated alike' },
  web_search_options: { neutral: [], why: 'it does not search the web' },
};

/** Why a role or a message's field that OpenAI knows is refused here. */
const UNSUPPORTED_IN_MESSAGE: Readonly<Record<string, string>> = {
  name: 'chat templates have no place for names; put the name into the content',
  tool_calls: NO_TOOLS,
  tool_call_id: NO_TOOLS,
  function_call: NO_TOOLS,
  refusal: 'send what the assistant said as `content`',
  audio: 'it reads text only',
};

/** Returns the body without what asks for nothing. @throws ApiError 400 for what asks for something unsupported. */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const messages = body['messages'];
  if (Array.isArray(messages)) messages.forEach(refuseInMessage);

  const kept = Object.entries(body).filter(([key, value]) => {
    const entry = Object.hasOwn(UNSUPPORTED, key) ? UNSUPPORTED[key] : undefined;
    if (entry === undefined) return true;
    if (entry.neutral.some((neutral) => isDeepStrictEqual(neutral, value))) return false;
    throw unsupported(key, entry.why);
  });
  return Object.fromEntries(kept);
}

/**
 * Drops fields that are null, in the body and in its messages, and empty lists in messages: OpenAI's clients write
 * null for "not set", and send back an assistant's message with the empty fields it came with.
 */
export function withoutEmptyFields(body: object): Record<string, unknown> {
  const result = withoutNulls(body);
  const messages = result['messages'];
  if (Array.isArray(messages)) {
    result['messages'] = messages.map((message: unknown) =>
      isPlainObject(message) ? withoutEmptyLists(withoutNulls(message)) : message,
    );
  }
  return result;
}

function refuseInMessage(message: unknown, index: number): void {
  if (!isPlainObject(message)) return;
  if (message['role'] === 'tool' || message['role'] === 'function') {
    throw unsupported(`messages[${index}].role`, NO_TOOLS);
  }
  for (const key of Object.keys(message)) {
    const why = Object.hasOwn(UNSUPPORTED_IN_MESSAGE, key) ? UNSUPPORTED_IN_MESSAGE[key] : undefined;
    if (why !== undefined) throw unsupported(`messages[${index}].${key}`, why);
  }
  const content = message['content'];
  if (Array.isArray(content))
    content.forEach((part, at) => refusePart(part, `messages[${index}].content[${at}].type`));
}

function refusePart(part: unknown, param: string): void {
  const type = isPlainObject(part) ? part['type'] : undefined;
  if (type === 'image_url' || type === 'input_audio' || type === 'file') {
    throw unsupported(param, 'its model reads text only');
  }
}

function unsupported(param: string, detail: string): ApiError {
  return new ApiError('unsupported_parameter', { values: { detail }, param });
}

function withoutNulls(object: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}

function withoutEmptyLists(message: Record<string, unknown>): Record<string, unknown> {
  const keep = ([key, value]: [string, unknown]) =>
    key === 'content' || !(Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(message).filter(keep));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
