/** Applies the access policy's word rules to a request and to its answer. Each hit is a [SEC] line without the word. */
import type {
  AnswerFormat,
  ChatMessage,
  GenerateEvent,
  GenerateRequest,
  ToolCall,
  ToolFunction,
  ToolUse,
  Usage,
} from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { SLICE, slicesOf, Turn } from '../policy/slices.js';
import { WordStream, type WordScreen, type Writing } from '../policy/word-screen.js';
import { mapSchemaTexts } from './schema-texts.js';

export interface HitReport {
  (side: 'input' | 'output', hits: ReadonlyMap<string, number>, blockedBy: string | undefined): void;
}

/** What the model reads of a request, or is held to. */
type Read = Pick<GenerateRequest, 'input' | 'tools' | 'format'>;

/** What the route calls these parts. */
export interface InputFields {
  readonly input: string;
  readonly format: string;
}

/**
 * Masks the words in what the user sent: messages, tools, the answer's format. Returns what takes their place. @throws ApiError content_filter for one
 * that is blocked, or that cannot be masked because the answer must have it as it stands
 */
export async function screenInput(
  { input, tools, format }: Read,
  screen: WordScreen,
  report: HitReport,
  fields: InputFields,
  turn = new Turn(),
): Promise<Read> {
  if (screen.isEmpty) return { input };
  const cleaner = new Cleaner(screen, fields.input, report, turn);
  const clean = {
    input: await cleaner.cleanInput(input),
    ...(tools === undefined ? {} : { tools: await cleaner.at('tools').cleanTools(tools) }),
    ...(format === undefined ? {} : { format: await cleaner.at(fields.format).cleanFormat(format) }),
  };
  cleaner.tell();
  return clean;
}

/** The same for texts of which vectors are made. @throws ApiError content_filter for one that is blocked */
export async function screenTexts(
  texts: readonly string[],
  screen: WordScreen,
  report: HitReport,
  turn = new Turn(),
): Promise<readonly string[]> {
  if (screen.isEmpty) return texts;
  const cleaner = new Cleaner(screen, 'input', report, turn);
  const clean: string[] = [];
  for (const text of texts) clean.push(await cleaner.clean(text));
  cleaner.tell();
  return clean;
}

/** The texts of one request. */
class Cleaner {
  readonly #screen: WordScreen;
  #param: string;
  readonly #report: HitReport;
  readonly #hits = new Map<string, number>();
  readonly #turn: Turn;
  /** Those texts that cannot be masked, one after the other: there may be hundreds of thousands. */
  readonly #fixed: WordStream;

  constructor(screen: WordScreen, param: string, report: HitReport, turn: Turn) {
    this.#screen = screen;
    this.#param = param;
    this.#report = report;
    this.#turn = turn;
    this.#fixed = new WordStream(screen);
  }

  /** What comes now stands in this field. */
  at(param: string): this {
    this.#param = param;
    return this;
  }

  async clean(text: string, writing: Writing = 'plain'): Promise<string> {
    const found = await this.#screen.screen(text, this.#turn, writing);
    this.#count(found.hits);
    if (found.blockedBy !== undefined) this.#refuse(found.blockedBy);
    return found.text;
  }

  /** For a name or a value that cannot be masked: whatever finds something in it refuses the request. */
  require(text: string): Promise<void> | undefined {
    if (text.length > SLICE) return this.#requireLong(text);
    this.#fixed.push(text);
    this.#endFixed();
    return this.#turn.tookText(text.length);
  }

  async #requireLong(text: string): Promise<void> {
    for (const slice of slicesOf(text)) {
      this.#fixed.push(slice);
      await this.#turn.took(slice.length);
    }
    this.#endFixed();
  }

  #endFixed(): void {
    this.#fixed.end();
    const { hits, blockedBy } = this.#fixed;
    if (hits.size === 0) return;
    this.#count(hits);
    const [first = ''] = hits.keys();
    this.#refuse(blockedBy ?? first);
  }

  async cleanInput(input: GenerateRequest['input']): Promise<GenerateRequest['input']> {
    if ('prompt' in input) return { prompt: await this.clean(input.prompt) };
    const messages: ChatMessage[] = [];
    for (const message of input.messages) messages.push(await this.#cleanMessage(message));
    return { messages };
  }

  /** A choice by name is one of these names. */
  async cleanTools(tools: ToolUse): Promise<ToolUse> {
    const functions: ToolFunction[] = [];
    for (const { name, description, parameters, ...rest } of tools.functions) {
      await this.require(name);
      functions.push({
        name,
        ...(description === undefined ? {} : { description: await this.clean(description) }),
        ...(parameters === undefined ? {} : { parameters: await this.#cleanSchema(parameters) }),
        ...rest,
      });
    }
    return { ...tools, functions };
  }

  async cleanFormat(format: AnswerFormat): Promise<AnswerFormat> {
    if (format.type === 'json_object') return format;
    const { name, description, schema } = format;
    if (name !== undefined) await this.require(name);
    return {
      ...format,
      schema: await this.#cleanSchema(schema),
      ...(description === undefined ? {} : { description: await this.clean(description) }),
    };
  }

  async #cleanMessage(message: ChatMessage): Promise<ChatMessage> {
    const content = await this.clean(message.content);
    if (message.toolCalls === undefined) return { ...message, content };
    const toolCalls: ToolCall[] = [];
    for (const call of message.toolCalls) {
      await this.require(call.name);
      toolCalls.push({ ...call, arguments: await this.clean(call.arguments, 'json') });
    }
    return { ...message, content, toolCalls };
  }

  #cleanSchema<Schema>(schema: Schema): Promise<Schema> {
    return mapSchemaTexts(schema, {
      free: (text) => this.clean(text),
      fixed: (text) => this.require(text),
      pause: () => this.#turn.took(1),
    });
  }

  #count(hits: ReadonlyMap<string, number>): void {
    for (const [rule, count] of hits) this.#hits.set(rule, (this.#hits.get(rule) ?? 0) + count);
  }

  #refuse(rule: string): never {
    this.#report('input', this.#hits, rule);
    throw new ApiError('content_filter', { param: this.#param });
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

/**
 * The answer's text, and each call's arguments, are texts of their own: remote services may send those in turns. The text
 * is one before and after a call, as clients put it together.
 */
class ScreenedOutput {
  readonly hits = new Map<string, number>();
  blockedBy: string | undefined;
  readonly #screen: WordScreen;
  readonly #text: WordStream;
  /** Of the arguments, by the index of the call. */
  readonly #arguments = new Map<number, WordStream>();
  /** Calls that wait for the text before them, each with what comes behind it. */
  #waiting: GenerateEvent[][] = [];
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  constructor(screen: WordScreen, writing: Writing) {
    this.#screen = screen;
    this.#text = new WordStream(screen, writing);
  }

  take(event: GenerateEvent): GenerateEvent[] {
    switch (event.type) {
      case 'start': {
        const { promptTokens, cachedTokens } = event;
        this.#usage = { ...this.#usage, promptTokens, cachedTokens };
        return [event];
      }
      case 'text':
        this.#count(event.tokens);
        return [...this.#letTextOut(this.#text.push(event.text), event.tokens), ...this.#endIfBlocked()];
      case 'tool-call':
        this.#require(event.name);
        if (this.blockedBy !== undefined) return this.#endIfBlocked();
        if (!this.#text.mark()) return [event];
        this.#waiting.push([event]);
        return [];
      case 'tool-arguments': {
        this.#count(event.tokens);
        const stream = this.#argumentsOf(event.index);
        const text = stream.push(event.text);
        return [...this.#letArgumentsOut(event.index, stream, text, event.tokens), ...this.#endIfBlocked()];
      }
      case 'end': {
        const rest = [...this.#arguments].flatMap(([call, stream]) =>
          this.blockedBy === undefined ? this.#letArgumentsOut(call, stream, stream.end(), 0) : [],
        );
        if (this.blockedBy === undefined) rest.push(...this.#endText());
        return [...rest, ...(this.blockedBy === undefined ? [event] : this.#endIfBlocked())];
      }
    }
  }

  #count(tokens: number): void {
    this.#usage = { ...this.#usage, completionTokens: this.#usage.completionTokens + tokens };
  }

  #argumentsOf(call: number): WordStream {
    const known = this.#arguments.get(call);
    if (known !== undefined) return known;
    const stream = new WordStream(this.#screen, 'json');
    this.#arguments.set(call, stream);
    return stream;
  }

  /** With the calls that waited, each at its place. */
  #letTextOut(text: string, tokens: number): GenerateEvent[] {
    this.#gather(this.#text);
    const events: GenerateEvent[] = [];
    let from = 0;
    const sayUpTo = (to: number) => {
      if (to > from)
        events.push({ type: 'text', text: text.slice(from, to), tokens: from === 0 ? tokens : 0 });
      from = to;
    };
    for (const place of this.#text.passed) {
      sayUpTo(place);
      events.push(...(this.#waiting.shift() ?? []));
    }
    sayUpTo(text.length);
    return events;
  }

  #letArgumentsOut(index: number, stream: WordStream, text: string, tokens: number): GenerateEvent[] {
    this.#gather(stream);
    if (text === '') return [];
    const event: GenerateEvent = { type: 'tool-arguments', index, text, tokens };
    const before = this.#waiting.at(-1);
    if (before === undefined) return [event];
    before.push(event);
    return [];
  }

  #endText(): GenerateEvent[] {
    return this.#letTextOut(this.#text.end(), 0);
  }

  /** The client has no tool of a masked name: whatever finds something in it ends the answer. */
  #require(name: string): void {
    const stream = new WordStream(this.#screen);
    stream.push(name);
    stream.end();
    const [first] = stream.hits.keys();
    this.#gather(stream);
    this.blockedBy ??= first;
  }

  #gather(stream: WordStream): void {
    this.blockedBy ??= stream.blockedBy;
    for (const [rule, count] of stream.hits) this.hits.set(rule, (this.hits.get(rule) ?? 0) + count);
    stream.hits.clear();
  }

  #endIfBlocked(): GenerateEvent[] {
    if (this.blockedBy === undefined) return [];
    // What ended it may stand in a call: then the text was let through up to there.
    const rest = this.#text.blockedBy === undefined ? this.#endText() : [];
    return [...rest, { type: 'end', finishReason: 'content_filter', usage: this.#usage }];
  }
}
