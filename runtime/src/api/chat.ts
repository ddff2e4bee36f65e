/** Answers chat requests in OpenAI's format: `/v1/chat/completions`, and `/api/v1/chat`, which need not name a model. */
import type { RequestHandler } from 'express';

import { answering, type AnsweringOptions, type Route } from './answering.js';
import { parseChatRequest } from './chat-request.js';
import { ChatAnswer } from './chat-response.js';

export function chatHandler(
  options: AnsweringOptions,
  { modelRequired }: { readonly modelRequired: boolean },
): RequestHandler {
  return answering(options, { modelRequired, promptField: 'messages', read: readChat });
}

const readChat: Route['read'] = (body, rules, model) => {
  const { stream, includeUsage, generate } = parseChatRequest(body, rules);
  const logprobs = generate.topLogprobs !== undefined;
  const toolChoice = generate.tools?.choice;
  return { stream, generate, writer: new ChatAnswer({ model, includeUsage, logprobs, toolChoice }) };
};
