/** `/v1/responses`: OpenAI's newer form of a chat, without what would have to be kept between requests. */
import type { RequestHandler } from 'express';

import { answering, type AnsweringOptions, type ReadRequest } from './answering.js';
import { toMessages } from './chat-request.js';
import { readBody, requireModel } from './read-body.js';
import { ResponseAnswer } from './response-answer.js';
import { responseBody, toChat, type ResponseBody } from './response-schema.js';
import { toSampling, type RequestRules } from './sampling-fields.js';
import { toFormat, toToolUse } from './tool-fields.js';
import { RESPONSE_UNSUPPORTED } from './unsupported.js';

export function responseHandler(options: AnsweringOptions): RequestHandler {
  const fields = { promptField: 'input', formatField: 'text.format' } as const;
  return answering(options, { modelRequired: true, ...fields, read: readResponse });
}

/** @throws ApiError */
export function readResponse(input: unknown, rules: RequestRules, model: string): ReadRequest {
  const body = readBody(responseBody(rules), input, RESPONSE_UNSUPPORTED) as ResponseBody;
  requireModel(body.model, rules.models);
  const choice = body.tool_choice ?? undefined;
  const { isRemote = false } = rules;
  const tools = toToolUse({
    functions: body.tools ?? [],
    choice,
    parallel: body.parallel_tool_calls ?? true,
    pathOf: (index) => ['tools', index, 'parameters'],
    isRemote,
  });
  const format = toFormat(body.text?.format, ['text', 'format', 'schema'], isRemote);
  const sampling = toSampling(body, body.max_output_tokens, rules);
  return {
    stream: body.stream ?? false,
    generate: {
      input: { messages: toMessages(toChat(body), () => 'input') },
      ...sampling,
      ...(tools === undefined ? {} : { tools }),
      ...(format === undefined ? {} : { format }),
    },
    writer: new ResponseAnswer({
      model,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: false,
      temperature: sampling.temperature,
      text: { format: body.text?.format ?? { type: 'text' } },
      tool_choice: choice ?? 'auto',
      tools: body.tools ?? [],
      top_p: sampling.topP,
      truncation: 'disabled',
      user: body.user ?? null,
    }),
  };
}
