/** What every kind of answer is made of: the engine's events, put together. */
import { randomBytes } from 'node:crypto';

import type { ChosenLogprob, FinishReason, GenerateEvent, Usage } from '../engine/engine.js';
import type { ApiError } from '../errors/api-error.js';

/** What goes out as one server-sent event. */
export interface StreamPiece {
  /** The event's name, where the API names them. */
  readonly event?: string;
  /** A string is sent as it is: `[DONE]`, or JSON that was written already. */
  readonly data: object | string;
}

/** Writes one answer in the format of one route: piece by piece, or whole at the end. */
export interface AnswerWriter {
  /** The pieces that the event makes. Called for every event, also when the answer is sent whole. */
  write(event: GenerateEvent): readonly StreamPiece[];
  /** The whole answer; after the last event. */
  whole(): object;
  /** The last piece of a stream that fails. */
  failure(error: ApiError): StreamPiece;
}

export interface AnswerCall {
  readonly id: string;
  readonly name: string;
  arguments: string;
}

/** The answer so far. */
export class AnswerParts {
  text = '';
  readonly calls: AnswerCall[] = [];
  readonly logprobs: ChosenLogprob[] = [];
  finishReason: FinishReason = 'stop';
  usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  add(event: GenerateEvent): void {
    switch (event.type) {
      case 'start':
        break;
      case 'text':
        this.text += event.text;
        this.logprobs.push(...(event.logprobs ?? []));
        break;
      case 'tool-call':
        this.calls.push({ id: event.id ?? newId('call_'), name: event.name, arguments: '' });
        break;
      case 'tool-arguments':
        this.call(event.index).arguments += event.text;
        break;
      case 'end':
        this.finishReason = event.finishReason;
        this.usage = event.usage;
        break;
    }
  }

  call(index: number): AnswerCall {
    const call = this.calls[index];
    if (call === undefined)
      throw new RangeError(`the engine sent arguments of a call ${index} that has not begun`);
    return call;
  }
}

/** Beside OpenAI's fields, and only where there is something to say: their clients leave it alone. */
export function warningOf({ warning }: Extract<GenerateEvent, { type: 'end' }>): { warning?: string } {
  return warning === undefined ? {} : { warning };
}

export function newId(prefix: string): string {
  return prefix + randomBytes(12).toString('hex');
}

export function unixTime(): number {
  return Math.floor(Date.now() / 1000);
}
