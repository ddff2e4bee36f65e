/** OpenAI's shapes of a chat answer, whole and in pieces. */
import type {
  ChosenLogprob,
  DraftFigures,
  GenerateEvent,
  TextEvent,
  TokenLogprob,
  ToolUse,
  Usage,
} from '../engine/engine.js';
import type { ApiError } from '../errors/api-error.js';
import { AnswerParts, newId, unixTime, warningOf, type AnswerWriter, type StreamPiece } from './answer.js';

export interface ChatAnswerOptions {
  readonly model: string;
  readonly includeUsage: boolean;
  /** Log-probabilities were asked for. */
  readonly logprobs: boolean;
  /** Undefined without tools. */
  readonly toolChoice: ToolUse['choice'] | undefined;
}

export class ChatAnswer implements AnswerWriter {
  readonly #options: ChatAnswerOptions;
  readonly #id = newId('chatcmpl-');
  readonly #created = unixTime();
  readonly #parts = new AnswerParts();
  /** What stands around the text in each of its chunks, written once: only the text changes. */
  #around: readonly [head: string, tail: string] | undefined;

  constructor(options: ChatAnswerOptions) {
    this.#options = options;
  }

  write(event: GenerateEvent): readonly StreamPiece[] {
    this.#parts.add(event);
    switch (event.type) {
      case 'start':
        return [this.#chunk({ role: 'assistant', content: '' })];
      case 'text':
        return [this.#textChunk(event)];
      case 'tool-call': {
        const { id, name } = this.#parts.call(event.index);
        const call = { index: event.index, id, type: 'function', function: { name, arguments: '' } };
        return [this.#chunk({ tool_calls: [call] })];
      }
      case 'tool-arguments':
        return [this.#chunk({ tool_calls: [{ index: event.index, function: { arguments: event.text } }] })];
      case 'end': {
        const { data } = this.#chunk({}, null, event.finishReason);
        const last = { data: { ...data, ...warningOf(event) } };
        const usage = {
          data: { ...this.#head('chat.completion.chunk'), choices: [], usage: usageBody(event.usage) },
        };
        return [last, ...(this.#options.includeUsage ? [usage] : []), { data: '[DONE]' }];
      }
    }
  }

  whole(): object {
    const { text, calls, logprobs, finishReason, usage } = this.#parts;
    const toolCalls = calls.map(({ id, name, arguments: given }) => ({
      id,
      type: 'function',
      function: { name, arguments: given },
    }));
    return {
      ...this.#head('chat.completion'),
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: text === '' && this.#isCall ? null : text,
            refusal: null,
            ...(calls.length === 0 ? {} : { tool_calls: toolCalls }),
          },
          logprobs: this.#logprobs(logprobs),
          finish_reason: finishReason,
        },
      ],
      usage: usageBody(usage),
    };
  }

  /** An answer without text is a call, or began as one and was cut before it had a name. */
  get #isCall(): boolean {
    const { calls, finishReason } = this.#parts;
    const { toolChoice } = this.#options;
    if (calls.length > 0) return true;
    return toolChoice !== undefined && (toolChoice !== 'auto' || finishReason === 'length');
  }

  failure(error: ApiError): StreamPiece {
    return { data: error.toBody() };
  }

  #head(object: string) {
    return { id: this.#id, object, created: this.#created, model: this.#options.model };
  }

  /** With `includeUsage`, OpenAI sends `usage: null` in all but the last. */
  #chunk(delta: object, logprobs: object | null = null, finishReason: string | null = null) {
    return {
      data: {
        ...this.#head('chat.completion.chunk'),
        choices: [{ index: 0, delta, logprobs, finish_reason: finishReason }],
        ...(this.#options.includeUsage ? { usage: null } : {}),
      },
    };
  }

  #textChunk({ text, logprobs }: TextEvent): StreamPiece {
    if (this.#options.logprobs) return this.#chunk({ content: text }, this.#logprobs(logprobs));
    this.#around ??= this.#aroundText();
    return { data: this.#around[0] + JSON.stringify(text) + this.#around[1] };
  }

  #aroundText(): readonly [head: string, tail: string] {
    const chunk = JSON.stringify(this.#chunk({ content: '' }).data);
    const content = '"content":';
    // The last one: a model's name may hold anything, and nothing behind the text is a client's or an operator's.
    const at = chunk.lastIndexOf(content) + content.length;
    return [chunk.slice(0, at), chunk.slice(at + '""'.length)];
  }

  #logprobs(given: readonly ChosenLogprob[] = []): object | null {
    if (!this.#options.logprobs) return null;
    return {
      content: given.map((token) => ({ ...logprobBody(token), top_logprobs: token.top.map(logprobBody) })),
      refusal: null,
    };
  }
}

/** Far below what a float can tell from never; JSON has no minus infinity. */
const LEAST_LOGPROB = -9999;

function logprobBody({ text, logprob, bytes }: TokenLogprob) {
  // A part of a character has no text of its own; its bytes are known from some tokenizers only.
  const own = bytes ?? (text.includes('\uFFFD') ? null : [...Buffer.from(text)]);
  return { token: text, logprob: finiteLogprob(logprob), bytes: own };
}

export function finiteLogprob(logprob: number): number {
  return Math.max(LEAST_LOGPROB, logprob);
}

export function usageBody(usage: Usage) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
    ...(usage.guesses === undefined ? {} : { completion_tokens_details: predictionBody(usage.guesses) }),
  };
}

function predictionBody({ tokens, accepted }: DraftFigures) {
  return { accepted_prediction_tokens: accepted, rejected_prediction_tokens: tokens - accepted };
}
