/** Applies the access policy's word rules to a request and to its answer. Each hit is a [SEC] line without the word. */
import type { ChatMessage, GenerateEvent, GenerateRequest, ToolCall, Usage } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { SLICE, slicesOf, Turn } from '../policy/slices.js';
import { WordStream, type WordScreen, type Writing } from '../policy/word-screen.js';

export interface HitReport {
  (side: 'input' | 'output', hits: ReadonlyMap<string, number>, blockedBy: string | undefined): void;
}

/** Masks the words in what the user sent. @throws ApiError content_filter for one that is blocked */
export async function screenInput(
  input: GenerateRequest['input'],
  screen: WordScreen,
  report: HitReport,
): Promise<GenerateRequest['input']> {
  if (screen.isEmpty) return input;
  const cleaner = new Cleaner(screen, 'messages' in input ? 'messages' : 'prompt', report);
  if ('prompt' in input) {
    const prompt = await cleaner.clean(input.prompt);
    cleaner.tell();
    return { prompt };
  }
  const messages: ChatMessage[] = [];
  for (const message of input.messages) messages.push(await cleaner.cleanMessage(message));
  cleaner.tell();
  return { messages };
}

/** The same for texts of which vectors are made. @throws ApiError content_filter for one that is blocked */
export async function screenTexts(
  texts: readonly string[],
  screen: WordScreen,
  report: HitReport,
): Promise<readonly string[]> {
  if (screen.isEmpty) return texts;
  const cleaner = new Cleaner(screen, 'input', report);
  const clean: string[] = [];
  for (const text of texts) clean.push(await cleaner.clean(text));
  cleaner.tell();
  return clean;
}

/** The texts of one request. */
class Cleaner {
  readonly #screen: WordScreen;
  readonly #param: string;
  readonly #report: HitReport;
  readonly #hits = new Map<string, number>();
  readonly #turn = new Turn();

  constructor(screen: WordScreen, param: string, report: HitReport) {
    this.#screen = screen;
    this.#param = param;
    this.#report = report;
  }

  async clean(text: string, writing: Writing = 'plain'): Promise<string> {
    const found = await this.#screen.screen(text, this.#turn, writing);
    for (const [rule, count] of found.hits) this.#hits.set(rule, (this.#hits.get(rule) ?? 0) + count);
    if (found.blockedBy !== undefined) {
      this.#report('input', this.#hits, found.blockedBy);
      throw new ApiError('content_filter', { param: this.#param });
    }
    return found.text;
  }

  async cleanMessage(message: ChatMessage): Promise<ChatMessage> {
    const content = await this.clean(message.content);
    if (message.toolCalls === undefined) return { ...message, content };
    const toolCalls: ToolCall[] = [];
    for (const call of message.toolCalls) {
      toolCalls.push({ ...call, arguments: await this.clean(call.arguments, 'json') });
    }
    return { ...message, content, toolCalls };
  }

  /** Once all texts are clean. */
  tell(): void {
    if (this.#hits.size > 0) this.#report('input', this.#hits, undefined);
  }
}

/**
 * Masks the words in an answer as it streams, also one that comes in pieces. At a blocked one the answer ends, with
 * what came before it; leaving the loop cancels the work. `writing`: of the answer's text; arguments are always JSON.
 */
export async function* screenOutput(
  events: AsyncIterable<GenerateEvent>,
  screen: WordScreen,
  report: HitReport,
  writing: Writing = 'plain',
): AsyncGenerator<GenerateEvent, void> {
  const output = new ScreenedOutput(screen, writing);
  const turn = new Turn();
  let told = false;
  const tell = () => {
    if (!told && output.hits.size > 0) report('output', output.hits, output.blockedBy);
    told = true;
  };
  try {
    for await (const event of events) {
      for (const piece of piecesOf(event)) {
        for (const released of output.take(piece)) {
          // Before the last event: after it, nobody may ask for more.
          if (released.type === 'end') tell();
          yield released;
        }
        if (output.blockedBy !== undefined) return;
        if ('text' in piece) await turn.took(piece.text.length);
      }
    }
  } finally {
    tell();
  }
}

/** An answer from the cache, or of some remote services, comes in few and long pieces. */
function* piecesOf(event: GenerateEvent): Generator<GenerateEvent, void> {
  if (!('text' in event) || event.text.length <= SLICE) return yield event;
  let { tokens } = event;
  for (const text of slicesOf(event.text)) {
    yield { ...event, text, tokens };
    tokens = 0;
  }
}

/** The answer's text, and each call's arguments, are texts of their own. */
class ScreenedOutput {
  readonly hits = new Map<string, number>();
  blockedBy: string | undefined;
  readonly #screen: WordScreen;
  readonly #writing: Writing;
  #stream: WordStream;
  /** The call that the present text is arguments of. */
  #call: number | undefined;
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  constructor(screen: WordScreen, writing: Writing) {
    this.#screen = screen;
    this.#writing = writing;
    this.#stream = new WordStream(screen, writing);
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
    this.#stream = new WordStream(this.#screen, call === undefined ? this.#writing : 'json');
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
