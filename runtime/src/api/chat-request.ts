/** Reads the body of a chat request: what OpenAI's API allows and this service does, and a refusal by name else. */
import { z } from 'zod';

import { flag, integer, numberBetween, oneOf, text } from '../config/fields.js';
import type { ChatMessage, GenerateRequest } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import type { ErrorCode } from '../errors/catalog.js';
import { explainIssues, type Complaint } from '../errors/validation.js';
import { refuseUnsupported, withoutEmptyFields } from './chat-unsupported.js';

export interface ChatRequest {
  readonly stream: boolean;
  /** Streams only: a last chunk with the usage. */
  readonly includeUsage: boolean;
  readonly generate: Omit<GenerateRequest, 'id'>;
}

export interface ChatRequestRules {
  /** The models served here; the first is the default. */
  readonly models: readonly string[];
  /** OpenAI's route demands `model`; /api/v1/chat does not. */
  readonly modelRequired: boolean;
  /** Tokens of context: no answer can be longer. */
  readonly contextSize: number;
  /** Used where the request names none. */
  readonly defaults: { readonly maxTokens: number; readonly temperature: number };
}

const textPart = z.strictObject({
  type: z.literal('text', { error: '"text" (this service reads no images, sound or files)' }),
  text: z.string({ error: 'a text' }),
});

const CONTENT = 'a text, or a list of parts {"type": "text", "text": "…"}';

const message = z.strictObject({
  role: oneOf(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(textPart).min(1, { error: CONTENT })], { error: CONTENT }),
});

const STOP = 'a text, or a list of at most 4 texts, none empty';
const stopText = z.string({ error: STOP }).min(1, { error: STOP });

function bodySchema(rules: ChatRequestRules) {
  const model = text(256);
  return z.strictObject({
    model: rules.modelRequired ? model : model.optional(),
    messages: z
      .array(message, { error: 'a list of messages {"role": …, "content": …}' })
      .min(1, { error: 'a list of at least one message' }),
    max_tokens: integer(1, rules.contextSize).optional(),
    max_completion_tokens: integer(1, rules.contextSize).optional(),
    temperature: numberBetween(0, 2).optional(),
    top_p: numberBetween(0, 1).optional(),
    frequency_penalty: numberBetween(-2, 2).optional(),
    presence_penalty: numberBetween(-2, 2).optional(),
    seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).optional(),
    stop: z
      .union([stopText, z.array(stopText).max(4, { error: STOP })], { error: STOP })
      .optional(),
    stream: flag().optional(),
    stream_options: z
      .strictObject({ include_usage: flag().optional() }, { error: '{"include_usage": true or false}' })
      .optional(),
    /** Names of OpenAI's for who asks; they do not change the answer. */
    user: text(512).optional(),
    safety_identifier: text(512).optional(),
  });
}

type Body = z.output<ReturnType<typeof bodySchema>>;

/** @throws ApiError 400 with the first thing that is wrong, or 404 for a model that is not served. */
export function parseChatRequest(input: unknown, rules: ChatRequestRules): ChatRequest {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ApiError('invalid_value', { values: { detail: 'Expected the body to be a JSON object' } });
  }
  const given = refuseUnsupported(withoutEmptyFields(input));
  const schema = bodySchema(rules);
  const result = schema.safeParse(given);
  if (!result.success) {
    const keysAt = (path: readonly PropertyKey[]) => (path.length === 0 ? Object.keys(schema.shape) : []);
    throw refusal(explainIssues(result.error, given, keysAt)[0]);
  }
  const body = result.data;
  if (body.model !== undefined && !rules.models.includes(body.model)) {
    const values = { model: body.model.slice(0, 128), available: rules.models.join(', ') };
    throw new ApiError('model_not_found', { values, param: 'model' });
  }
  if (body.stream_options !== undefined && body.stream !== true) {
    throw invalid('stream_options', '`stream_options` is only allowed with `stream: true`');
  }
  return {
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    generate: toGenerateRequest(body, rules),
  };
}

function toGenerateRequest(body: Body, rules: ChatRequestRules): ChatRequest['generate'] {
  const { max_tokens: older, max_completion_tokens: newer } = body;
  if (older !== undefined && newer !== undefined && older !== newer) {
    throw invalid('max_tokens', '`max_tokens` and `max_completion_tokens` mean the same; set one of them');
  }
  return {
    input: { messages: body.messages.map(toChatMessage) },
    maxTokens: newer ?? older ?? Math.min(rules.defaults.maxTokens, rules.contextSize),
    temperature: body.temperature ?? rules.defaults.temperature,
    topP: body.top_p ?? 1,
    frequencyPenalty: body.frequency_penalty ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    ...(body.seed === undefined ? {} : { seed: toUint32(body.seed) }),
  };
}

function toChatMessage(given: z.output<typeof message>): ChatMessage {
  return {
    // OpenAI's newer name for the same; chat templates know only `system`.
    role: given.role === 'developer' ? 'system' : given.role,
    content:
      typeof given.content === 'string' ? given.content : given.content.map((part) => part.text).join('\n'),
  };
}

/** Samplers take 32 bits. */
function toUint32(seed: number): number {
  return Number(BigInt.asUintN(32, BigInt(seed)));
}

const CODE_OF_KIND: Record<Complaint['kind'], ErrorCode> = {
  unknown: 'unknown_parameter',
  missing: 'missing_parameter',
  invalid: 'invalid_value',
};

function refusal(complaint: Complaint | undefined): ApiError {
  if (complaint === undefined) throw new Error('zod refused a body without saying why');
  return new ApiError(CODE_OF_KIND[complaint.kind], {
    values: { detail: complaint.text },
    ...(complaint.field === '' ? {} : { param: complaint.field }),
  });
}

function invalid(param: string, detail: string): ApiError {
  return new ApiError('invalid_value', { values: { detail }, param });
}
