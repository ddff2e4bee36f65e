/** Reads the body of a chat request: what OpenAI's API allows and this service does, and a refusal by name else. */
import type { ChatMessage, GenerateRequest, ToolCall } from '../engine/engine.js';
import {
  chatBody,
  FOREIGN_PARTS,
  type ChatBody,
  type GivenContent,
  type GivenMessage,
} from './chat-schema.js';
import { invalid, readBody, requireModel, unsupported } from './read-body.js';
import { toSampling, type RequestRules } from './sampling-fields.js';
import { toFormat, toToolUse } from './tool-fields.js';
import { CHAT_UNSUPPORTED } from './unsupported.js';

export interface ChatRequest {
  readonly stream: boolean;
  /** Streams only: a last chunk with the usage. */
  readonly includeUsage: boolean;
  readonly generate: Omit<GenerateRequest, 'id'>;
}

/** @throws ApiError 400 with the first thing that is wrong, or 404 for a model that is not served. */
export function parseChatRequest(input: unknown, rules: RequestRules): ChatRequest {
  refuseForeignParts(input);
  const body = readBody(chatBody(rules), input, CHAT_UNSUPPORTED) as ChatBody;
  requireModel(body.model, rules.models);
  const stream = body.stream ?? false;
  requireStreamForOptions(body, stream);
  return {
    stream,
    includeUsage: body.stream_options?.include_usage ?? false,
    generate: toGenerateRequest(body, rules),
  };
}

export function requireStreamForOptions(body: { readonly stream_options?: unknown }, stream: boolean): void {
  if (body.stream_options !== undefined && body.stream_options !== null && !stream) {
    throw invalid('stream_options', '`stream_options` is only allowed with `stream: true`');
  }
}

function toGenerateRequest(body: ChatBody, rules: RequestRules): ChatRequest['generate'] {
  const { max_tokens: older, max_completion_tokens: newer } = body;
  if (older != null && newer != null && older !== newer) {
    throw invalid('max_tokens', '`max_tokens` and `max_completion_tokens` mean the same; set one of them');
  }
  if (body.top_logprobs != null && body.logprobs !== true) {
    throw invalid('top_logprobs', '`top_logprobs` is only allowed with `logprobs: true`');
  }
  const choice = body.tool_choice ?? undefined;
  const { isRemote = false } = rules;
  const tools = toToolUse({
    functions: (body.tools ?? []).map((tool) => tool.function),
    choice: typeof choice === 'object' ? choice.function : choice,
    parallel: body.parallel_tool_calls ?? true,
    pathOf: (index) => ['tools', index, 'function', 'parameters'],
    isRemote,
  });
  const wanted = body.response_format;
  const format = toFormat(
    wanted?.type === 'json_schema' ? { type: wanted.type, ...wanted.json_schema } : wanted,
    ['response_format', 'json_schema', 'schema'],
    isRemote,
  );
  return {
    input: { messages: toMessages(body.messages) },
    ...toSampling(body, newer ?? older, rules),
    ...(tools === undefined ? {} : { tools }),
    ...(format === undefined ? {} : { format }),
    ...(body.logprobs === true ? { topLogprobs: body.top_logprobs ?? 0 } : {}),
    ...(body.prediction == null ? {} : { prediction: toText(body.prediction.content) }),
  };
}

/** Calls and their results have to fit together: templates write them in one place. */
export function toMessages(
  given: readonly GivenMessage[],
  placeOf = (index: number): string => `messages[${index}]`,
): ChatMessage[] {
  let unanswered = new Set<string>();
  const messages = given.map((message, index): ChatMessage => {
    const place = placeOf(index);
    if (message.role === 'tool') {
      if (!unanswered.delete(message.tool_call_id)) {
        throw invalid(
          `${place}.tool_call_id`,
          `Expected \`${place}.tool_call_id\` to be the id of a call in the assistant's message before it that has no answer yet`,
        );
      }
      return { role: 'tool', content: toText(message.content), toolCallId: message.tool_call_id };
    }
    requireAnswers(unanswered, place);
    if (message.role !== 'assistant') {
      // `developer` is OpenAI's newer name for the same; chat templates know only `system`.
      return {
        role: message.role === 'developer' ? 'system' : message.role,
        content: toText(message.content),
      };
    }
    const calls = (message.tool_calls ?? []).map((call, at) => toCall(call, `${place}.tool_calls[${at}]`));
    if (calls.length === 0 && message.content == null) {
      throw invalid(`${place}.content`, `Expected \`${place}\` to have \`content\` or \`tool_calls\``);
    }
    unanswered = new Set(calls.map(({ id }) => id));
    if (unanswered.size < calls.length)
      throw invalid(`${place}.tool_calls`, 'Expected each call to have an id of its own');
    const content = message.content == null ? '' : toText(message.content);
    return { role: 'assistant', content, ...(calls.length === 0 ? {} : { toolCalls: calls }) };
  });
  requireAnswers(unanswered, placeOf(-1).replace('[-1]', ''));
  return messages;
}

function requireAnswers(unanswered: ReadonlySet<string>, place: string): void {
  const [id] = unanswered;
  if (id === undefined) return;
  throw invalid(
    place,
    `The call \`${id}\` has no answer: after an assistant's message with \`tool_calls\` comes a message of the role "tool" for each`,
  );
}

export function toCall(
  call: { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } },
  place: string,
): ToolCall {
  const { name, arguments: given } = call.function;
  if (!isJsonObject(given)) {
    throw invalid(
      `${place}.function.arguments`,
      `Expected \`${place}.function.arguments\` to be a JSON object, as a text`,
    );
  }
  return { id: call.id, name, arguments: given };
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function toText(content: GivenContent): string {
  return typeof content === 'string' ? content : content.map((part) => part.text).join('\n');
}

function refuseForeignParts(input: unknown): void {
  const messages = isRecord(input) ? input['messages'] : undefined;
  if (!Array.isArray(messages)) return;
  messages.forEach((message: unknown, index) => {
    const content = isRecord(message) ? message['content'] : undefined;
    if (!Array.isArray(content)) return;
    content.forEach((part: unknown, at) => {
      const type = isRecord(part) ? part['type'] : undefined;
      if (FOREIGN_PARTS.has(type)) {
        throw unsupported(`messages[${index}].content[${at}].type`, 'its model reads text only');
      }
    });
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
