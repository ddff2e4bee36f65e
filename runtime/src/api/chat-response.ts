/** OpenAI's shapes of an answer, whole and in pieces. */
import { randomBytes } from 'node:crypto';

import type { FinishReason, Usage } from '../engine/engine.js';

/** What all pieces of one answer share. */
export interface AnswerHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
}

export function newAnswerHead(model: string): AnswerHead {
  return { id: `chatcmpl-${randomBytes(12).toString('hex')}`, created: Math.floor(Date.now() / 1000), model };
}

export function completion(head: AnswerHead, content: string, finishReason: FinishReason, usage: Usage) {
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null },
        logprobs: null,
        finish_reason: finishReason,
      },
    ],
    usage: usageBody(usage),
  };
}

type Delta = { readonly role?: 'assistant'; readonly content?: string };

/** One piece of a streamed answer. With `includeUsage`, OpenAI sends `usage: null` in all but the last. */
export function chunk(
  head: AnswerHead,
  delta: Delta,
  finishReason: FinishReason | null,
  includeUsage: boolean,
) {
  return {
    ...chunkHead(head),
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    ...(includeUsage ? { usage: null } : {}),
  };
}

/** The last chunk of a stream that asked for the usage: no choices. */
export function usageChunk(head: AnswerHead, usage: Usage) {
  return { ...chunkHead(head), choices: [], usage: usageBody(usage) };
}

function chunkHead(head: AnswerHead) {
  return { id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model };
}

function usageBody(usage: Usage) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  };
}
