/** A request as OpenAI's chat completions take it. */
import {
  EngineError,
  type AnswerFormat,
  type ChatMessage,
  type GenerateRequest,
  type ToolUse,
} from '../engine.js';

/** Always streamed: then a time limit can tell a long answer from none. `model` undefined: the service chooses. */
export function toRequestBody(request: GenerateRequest, model: string | undefined): object {
  if (!('messages' in request.input)) {
    throw new EngineError('upstream_failed', 'a remote service takes conversations only, not raw prompts');
  }
  const { tools, format, topLogprobs } = request;
  return {
    ...(model === undefined ? {} : { model }),
    messages: request.input.messages.map(toMessage),
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(request.stop.length === 0 ? {} : { stop: request.stop }),
    ...(request.frequencyPenalty === 0 ? {} : { frequency_penalty: request.frequencyPenalty }),
    ...(request.presencePenalty === 0 ? {} : { presence_penalty: request.presencePenalty }),
    ...(tools === undefined ? {} : toolFields(tools)),
    ...(format === undefined ? {} : { response_format: toResponseFormat(format) }),
    ...(topLogprobs === undefined ? {} : { logprobs: true, top_logprobs: topLogprobs }),
    stream: true,
    stream_options: { include_usage: true },
  };
}

function toMessage({ role, content, toolCalls, toolCallId }: ChatMessage): object {
  if (role === 'tool') return { role, content, tool_call_id: toolCallId };
  if (toolCalls === undefined) return { role, content };
  return {
    role,
    content: content === '' ? null : content,
    tool_calls: toolCalls.map(({ id, name, arguments: given }) => ({
      id,
      type: 'function',
      function: { name, arguments: given },
    })),
  };
}

function toolFields({ functions, choice, parallel }: ToolUse): object {
  return {
    tools: functions.map((given) => ({ type: 'function', function: given })),
    tool_choice: typeof choice === 'string' ? choice : { type: 'function', function: { name: choice.name } },
    // Not every service knows it; true is what it means when it is left out.
    ...(parallel ? {} : { parallel_tool_calls: false }),
  };
}

function toResponseFormat(format: AnswerFormat): object {
  if (format.type === 'json_object') return { type: format.type };
  const { schema, name = 'answer', description, strict } = format;
  return {
    type: format.type,
    json_schema: {
      name,
      schema,
      ...(description === undefined ? {} : { description }),
      ...(strict === undefined ? {} : { strict }),
    },
  };
}
