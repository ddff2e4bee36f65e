/** The answers of `/v1/responses`: an object with items, whole or as a series of named events. */
import type { FinishReason, GenerateEvent, Usage } from '../engine/engine.js';
import type { ApiError } from '../errors/api-error.js';
import { newId, unixTime, type AnswerWriter, type StreamPiece } from './answer.js';

type ItemStatus = 'in_progress' | 'completed' | 'incomplete';
interface MessageItem {
  readonly type: 'message';
  readonly id: string;
  text: string;
  status: ItemStatus;
}
interface CallItem {
  readonly type: 'function_call';
  readonly id: string;
  readonly callId: string;
  readonly name: string;
  arguments: string;
  status: ItemStatus;
}
type Item = MessageItem | CallItem;

/** This route's words for the reasons why an answer is not whole. */
const CUT: Partial<Record<FinishReason, string>> = {
  length: 'max_output_tokens',
  content_filter: 'content_filter',
};

export class ResponseAnswer implements AnswerWriter {
  /** What the request asked for, as the answer repeats it. */
  readonly #echo: object;
  readonly #id = newId('resp_');
  readonly #created = unixTime();
  readonly #items: Item[] = [];
  /** Those of the items that are calls. */
  readonly #calls: CallItem[] = [];
  #finished: { readonly reason: FinishReason; readonly usage: Usage } | undefined;
  #sent = 0;

  constructor(echo: object) {
    this.#echo = echo;
  }

  write(event: GenerateEvent): readonly StreamPiece[] {
    switch (event.type) {
      case 'start':
        return [
          this.#piece('response.created', { response: this.whole() }),
          this.#piece('response.in_progress', { response: this.whole() }),
        ];
      case 'text':
        return this.#addText(event.text);
      case 'tool-call': {
        const ended = this.#close(this.#last, 'completed');
        const call: CallItem = {
          type: 'function_call',
          id: newId('fc_'),
          callId: event.id ?? newId('call_'),
          name: event.name,
          arguments: '',
          status: 'in_progress',
        };
        this.#calls.push(call);
        return [...ended, ...this.#open(call)];
      }
      case 'tool-arguments':
        return this.#addArguments(event.index, event.text);
      case 'end':
        return this.#end(event.finishReason, event.usage);
    }
  }

  whole(): object {
    const cut = this.#finished && CUT[this.#finished.reason];
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#created,
      status: this.#finished === undefined ? 'in_progress' : cut ? 'incomplete' : 'completed',
      error: null,
      incomplete_details: cut ? { reason: cut } : null,
      ...this.#echo,
      output: this.#items.map(itemBody),
      usage: this.#finished === undefined ? null : usageBody(this.#finished.usage),
    };
  }

  failure(error: ApiError): StreamPiece {
    return this.#piece('error', { code: error.code, message: error.message, param: error.param });
  }

  #addText(text: string): StreamPiece[] {
    const before =
      this.#last?.type === 'message' ? [] : [...this.#close(this.#last, 'completed'), ...this.#openMessage()];
    const item = this.#last as MessageItem;
    item.text += text;
    const delta = { ...this.#place(item), content_index: 0, delta: text, logprobs: [] };
    return [...before, this.#piece('response.output_text.delta', delta)];
  }

  #addArguments(index: number, text: string): StreamPiece[] {
    const item = this.#calls[index];
    if (item === undefined) throw new RangeError('the engine sent arguments of a call that has not begun');
    item.arguments += text;
    // Of a remote service that goes on with a call after the next one began: it is completed again.
    item.status = 'in_progress';
    return [this.#piece('response.function_call_arguments.delta', { ...this.#place(item), delta: text })];
  }

  #end(reason: FinishReason, usage: Usage): StreamPiece[] {
    const empty = this.#items.length === 0 ? this.#openMessage() : [];
    const isCut = CUT[reason] !== undefined;
    const closed = this.#items.flatMap((item) => this.#close(item, isCut ? 'incomplete' : 'completed'));
    this.#finished = { reason, usage };
    const name = isCut ? 'response.incomplete' : 'response.completed';
    return [...empty, ...closed, this.#piece(name, { response: this.whole() })];
  }

  get #last(): Item | undefined {
    return this.#items.at(-1);
  }

  #openMessage(): StreamPiece[] {
    const item: MessageItem = { type: 'message', id: newId('msg_'), text: '', status: 'in_progress' };
    const opened = this.#open(item);
    const part = { ...this.#place(item), content_index: 0, part: textPart('') };
    return [...opened, this.#piece('response.content_part.added', part)];
  }

  #open(item: Item): StreamPiece[] {
    // A message is announced empty: its part comes with an event of its own.
    const body = item.type === 'message' ? { ...itemBody(item), content: [] } : itemBody(item);
    this.#items.push(item);
    return [this.#piece('response.output_item.added', { output_index: this.#items.length - 1, item: body })];
  }

  #close(item: Item | undefined, status: 'completed' | 'incomplete'): StreamPiece[] {
    if (item === undefined || item.status !== 'in_progress') return [];
    item.status = status;
    const place = this.#place(item);
    const done =
      item.type === 'message'
        ? [
            this.#piece('response.output_text.done', {
              ...place,
              content_index: 0,
              text: item.text,
              logprobs: [],
            }),
            this.#piece('response.content_part.done', {
              ...place,
              content_index: 0,
              part: textPart(item.text),
            }),
          ]
        : [
            this.#piece('response.function_call_arguments.done', {
              ...place,
              name: item.name,
              arguments: item.arguments,
            }),
          ];
    const { output_index } = place;
    return [...done, this.#piece('response.output_item.done', { output_index, item: itemBody(item) })];
  }

  #place(item: Item) {
    return { item_id: item.id, output_index: this.#items.indexOf(item) };
  }

  #piece(type: string, data: object): StreamPiece {
    return { event: type, data: { type, sequence_number: this.#sent++, ...data } };
  }
}

function itemBody(item: Item): object {
  const { id, type, status } = item;
  if (item.type === 'message') return { id, type, status, role: 'assistant', content: [textPart(item.text)] };
  return { id, type, status, call_id: item.callId, name: item.name, arguments: item.arguments };
}

function textPart(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function usageBody({ promptTokens, cachedTokens, completionTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  };
}
