/** OpenAI's older route: continues a text, without a conversation and without the model's chat template. */
import type { RequestHandler } from 'express';
import { z } from 'zod';

import { integer } from '../config/fields.js';
import type { ChosenLogprob, GenerateEvent } from '../engine/engine.js';
import type { ApiError } from '../errors/api-error.js';
import { bodySchema } from './body-schema.js';
import { AnswerParts, newId, unixTime, warningOf, type AnswerWriter, type StreamPiece } from './answer.js';
import { answering, type AnsweringOptions, type ReadRequest } from './answering.js';
import { requireStreamForOptions } from './chat-request.js';
import { finiteLogprob, usageBody } from './chat-response.js';
import { readBody, requireModel } from './read-body.js';
import {
  modelField,
  samplingFields,
  streamFields,
  toSampling,
  userFields,
  type RequestRules,
} from './sampling-fields.js';
import { COMPLETION_UNSUPPORTED, neutralFields } from './unsupported.js';

const PROMPT = 'a text of at least one character, or a list of one such text';
const promptText = z.string({ error: PROMPT }).min(1, { error: PROMPT });
/** OpenAI's, for this route. */
const DEFAULT_MAX_TOKENS = 16;

export const completionBody = bodySchema((rules) => {
  return z.strictObject({
    model: modelField(rules),
    prompt: z.union([promptText, z.array(promptText).length(1, { error: PROMPT })], { error: PROMPT }),
    max_tokens: integer(1, rules.contextSize).nullish(),
    ...samplingFields(),
    ...streamFields(),
    logprobs: integer(0, 5).nullish(),
    ...userFields(),
    ...neutralFields(COMPLETION_UNSUPPORTED),
  });
});
type CompletionBody = z.output<ReturnType<typeof completionBody>>;

export function completionHandler(options: AnsweringOptions): RequestHandler {
  return answering(options, { modelRequired: true, promptField: 'prompt', read: readCompletion });
}

/** @throws ApiError */
export function readCompletion(input: unknown, rules: RequestRules, model: string): ReadRequest {
  const body = readBody(completionBody(rules), input, COMPLETION_UNSUPPORTED) as CompletionBody;
  requireModel(body.model, rules.models);
  const stream = body.stream ?? false;
  requireStreamForOptions(body, stream);
  const [prompt = ''] = typeof body.prompt === 'string' ? [body.prompt] : body.prompt;
  const topLogprobs = body.logprobs ?? undefined;
  const includeUsage = body.stream_options?.include_usage ?? false;
  return {
    stream,
    generate: {
      input: { prompt },
      ...toSampling(body, body.max_tokens ?? Math.min(DEFAULT_MAX_TOKENS, rules.contextSize), rules),
      ...(topLogprobs === undefined ? {} : { topLogprobs }),
    },
    writer: new CompletionAnswer(model, includeUsage, topLogprobs !== undefined),
  };
}

class CompletionAnswer implements AnswerWriter {
  readonly #head: object;
  readonly #includeUsage: boolean;
  readonly #withLogprobs: boolean;
  readonly #parts = new AnswerParts();
  #offset = 0;

  constructor(model: string, includeUsage: boolean, withLogprobs: boolean) {
    this.#head = { id: newId('cmpl-'), object: 'text_completion', created: unixTime(), model };
    this.#includeUsage = includeUsage;
    this.#withLogprobs = withLogprobs;
  }

  write(event: GenerateEvent): readonly StreamPiece[] {
    this.#parts.add(event);
    if (event.type === 'text') {
      const logprobs = this.#logprobs(event.logprobs ?? [], this.#offset);
      this.#offset += event.text.length;
      return [this.#chunk(event.text, logprobs, null)];
    }
    if (event.type !== 'end') return [];
    const usage = { data: { ...this.#head, choices: [], usage: usageBody(event.usage) } };
    const { data } = this.#chunk('', null, event.finishReason);
    return [
      { data: { ...data, ...warningOf(event) } },
      ...(this.#includeUsage ? [usage] : []),
      { data: '[DONE]' },
    ];
  }

  whole(): object {
    const { text, finishReason, usage, logprobs } = this.#parts;
    const choice = { text, index: 0, logprobs: this.#logprobs(logprobs, 0), finish_reason: finishReason };
    return { ...this.#head, choices: [choice], usage: usageBody(usage) };
  }

  failure(error: ApiError): StreamPiece {
    return { data: error.toBody() };
  }

  #chunk(text: string, logprobs: object | null, finishReason: string | null) {
    const choice = { text, index: 0, logprobs, finish_reason: finishReason };
    return { data: { ...this.#head, choices: [choice], ...(this.#includeUsage ? { usage: null } : {}) } };
  }

  /** This route's own shape: lists side by side. `offset` is where in the text the first token begins. */
  #logprobs(given: readonly ChosenLogprob[], offset: number): object | null {
    if (!this.#withLogprobs) return null;
    let at = offset;
    const offsets = given.map(({ text }) => {
      const begins = at;
      at += text.length;
      return begins;
    });
    return {
      tokens: given.map(({ text }) => text),
      token_logprobs: given.map(({ logprob }) => finiteLogprob(logprob)),
      top_logprobs: given.map(({ top }) =>
        Object.fromEntries(top.map(({ text, logprob }) => [text, finiteLogprob(logprob)])),
      ),
      text_offset: offsets,
    };
  }
}
