/** Applies the access policy's word rules to a request and to its answer. Each hit is a [SEC] line without the word. */
import type { ChatMessage, GenerateEvent, GenerateRequest, Usage } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { WordStream, type WordScreen } from '../policy/word-screen.js';

export interface HitReport {
  (side: 'input' | 'output', hits: ReadonlyMap<string, number>, blockedBy: string | undefined): void;
}

/** Masks the words in what the user sent. @throws ApiError content_filter for one that is blocked */
export function screenInput(
  input: GenerateRequest['input'],
  screen: WordScreen,
  report: HitReport,
): GenerateRequest['input'] {
  const param = 'messages' in input ? 'messages' : 'prompt';
  return screened(input, param, screen, report, (clean) =>
    'prompt' in input
      ? { prompt: clean(input.prompt) }
      : { messages: input.messages.map((message) => cleanMessage(message, clean)) },
  );
}

/** The same for texts of which vectors are made. @throws ApiError content_filter for one that is blocked */
export function screenTexts(
  texts: readonly string[],
  screen: WordScreen,
  report: HitReport,
): readonly string[] {
  return screened(texts, 'input', screen, report, (clean) => texts.map(clean));
}

function screened<Given>(
  given: Given,
  param: string,
  screen: WordScreen,
  report: HitReport,
  apply: (clean: (text: string) => string) => Given,
): Given {
  if (screen.isEmpty) return given;
  const hits = new Map<string, number>();
  const result = apply((text) => {
    const found = screen.screen(text);
    for (const [rule, count] of found.hits) hits.set(rule, (hits.get(rule) ?? 0) + count);
    if (found.blockedBy !== undefined) {
      report('input', hits, found.blockedBy);
      throw new ApiError('content_filter', { param });
    }
    return found.text;
  });
  if (hits.size > 0) report('input', hits, undefined);
  return result;
}

function cleanMessage(message: ChatMessage, clean: (text: string) => string): ChatMessage {
  const { toolCalls, content } = message;
  return {
    ...message,
    content: clean(content),
    ...(toolCalls === undefined
      ? {}
      : { toolCalls: toolCalls.map((call) => ({ ...call, arguments: clean(call.arguments) })) }),
  };
}

/**
 * Masks the words in an answer as it streams, also one that comes in pieces. At a blocked one the answer ends, with
 * what came before it; leaving the loop cancels the work.
 */
export async function* screenOutput(
  events: AsyncIterable<GenerateEvent>,
  screen: WordScreen,
  report: HitReport,
): AsyncGenerator<GenerateEvent, void> {
  if (screen.isEmpty) return yield* events;
  const output = new ScreenedOutput(screen);
  let told = false;
  const tell = () => {
    if (!told && output.hits.size > 0) report('output', output.hits, output.blockedBy);
    told = true;
  };
  try {
    for await (const event of events) {
      for (const released of output.take(event)) {
        // Before the last event: after it, nobody may ask for more.
        if (released.type === 'end') tell();
        yield released;
      }
      if (output.blockedBy !== undefined) return;
    }
  } finally {
    tell();
  }
}

/** The answer's text, and each call's arguments, are texts of their own. */
class ScreenedOutput {
  readonly hits = new Map<string, number>();
  blockedBy: string | undefined;
  readonly #screen: WordScreen;
  #stream: WordStream;
  /** The call that the present text is arguments of. */
  #call: number | undefined;
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  constructor(screen: WordScreen) {
    this.#screen = screen;
    this.#stream = new WordStream(screen);
  }

  take(event: GenerateEvent): GenerateEvent[] {
    switch (event.type) {
      case 'start': {
        const { promptTokens, cachedTokens } = event;
        this.#usage = { ...this.#usage, promptTokens, cachedTokens };
        return [event];
      }
      case 'text':
      case 'tool-arguments': {
        const { completionTokens } = this.#usage;
        this.#usage = { ...this.#usage, completionTokens: completionTokens + event.tokens };
        const call = event.type === 'text' ? undefined : event.index;
        const before = call === this.#call ? [] : this.#begin(call);
        return [
          ...before,
          ...this.#release(this.#stream.push(event.text), event.tokens),
          ...this.#endIfBlocked(),
        ];
      }
      case 'tool-call':
        return [
          ...this.#begin(event.index),
          ...(this.blockedBy === undefined ? [event] : this.#endIfBlocked()),
        ];
      case 'end':
        return [
          ...this.#begin(undefined),
          ...(this.blockedBy === undefined ? [event] : this.#endIfBlocked()),
        ];
    }
  }

  /** What was held back of the text that ends, before another begins. */
  #begin(call: number | undefined): GenerateEvent[] {
    const rest = this.#release(this.#stream.end(), 0);
    this.#stream = new WordStream(this.#screen);
    this.#call = call;
    return rest;
  }

  #release(text: string, tokens: number): GenerateEvent[] {
    this.#gather();
    if (text === '') return [];
    return this.#call === undefined
      ? [{ type: 'text', text, tokens }]
      : [{ type: 'tool-arguments', index: this.#call, text, tokens }];
  }

  #gather(): void {
    this.blockedBy ??= this.#stream.blockedBy;
    for (const [rule, count] of this.#stream.hits) this.hits.set(rule, (this.hits.get(rule) ?? 0) + count);
    this.#stream.hits.clear();
  }

  #endIfBlocked(): GenerateEvent[] {
    if (this.blockedBy === undefined) return [];
    return [{ type: 'end', finishReason: 'content_filter', usage: this.#usage }];
  }
}
