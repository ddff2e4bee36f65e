import type { LlamaModel, Token } from 'node-llama-cpp';
import type {
  ChosenLogprob,
  DraftFigures,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  Usage,
} from './engine.js';
import type { AnswerRules } from './answer-rules.js';
import type { Choice, Evaluation, Outcome, RawLogprobs } from './evaluator.js';
import { PromptLookup, type Draft } from './prompt-lookup.js';
import type { Sampler } from './sampler.js';
import type { Sequence } from './sequence.js';
import { TextStream } from './text-stream.js';
import { tokenBytes } from './token-bytes.js';
import { ToolCallStream, type ToolPiece } from './tool-call-stream.js';

/** No token that a sampler would choose where the beginning of a call stands. */
const NO_GUESS = 0 as Token;
/** Tokens of the prompt that stand before a prediction: enough to find its beginning by. */
const PREDICTED_BEHIND = 4;

/** A prompt that was accepted: it fits the context. */
export interface Job {
  readonly id: number;
  readonly request: GenerateRequest;
  readonly tokens: readonly Token[];
  /** What the answer may be, for guesses at it. */
  readonly prediction?: readonly Token[];
  /** The request's stop strings and the chat template's. */
  readonly stop: readonly string[];
  /** What the answer has to be. Undefined when it may be anything. */
  readonly rules?: AnswerRules;
  cancelled: boolean;
}

export interface LaneParts {
  readonly model: LlamaModel;
  /** Tokens of prompt and answer together. */
  readonly contextSize: number;
  /** The lane's own as long as it runs. */
  readonly sampler: Sampler;
}

/**
 * One request on one sequence: reads the prompt in slices, then takes a token a step. It says what to evaluate next and
 * makes events of what comes of it; between steps it can be cancelled, or go on on another sequence.
 */
export class Lane {
  readonly job: Job;
  readonly cachedTokens: number;
  readonly #model: LlamaModel;
  readonly #contextSize: number;
  readonly sampler: Sampler;
  #sequence: Sequence;
  readonly #text: TextStream;
  readonly #calls: ToolCallStream | undefined;
  readonly #generated: Token[] = [];
  /** Made when it is first asked. */
  #lookup: PromptLookup | undefined;
  /** Of tokens whose text was not reported yet. */
  #logprobs: ChosenLogprob[] = [];
  readonly #guesses = { tokens: 0, accepted: 0 };
  /** A grammar has begun in the middle of the answer. */
  #isHeld = false;
  /** Tokens whose text was reported, in this or an earlier piece. */
  #reported = 0;

  /** The sequence has evaluated a beginning of the prompt, and not all of it. */
  constructor(job: Job, sequence: Sequence, { model, contextSize, sampler }: LaneParts) {
    this.job = job;
    this.#model = model;
    this.#contextSize = contextSize;
    this.sampler = sampler;
    this.#sequence = sequence;
    this.cachedTokens = sequence.length;
    const { rules, request } = job;
    // Models write calls with tokens of their own, which are no text otherwise.
    const withSpecial = rules?.calls !== undefined;
    this.#text = new TextStream(
      (tokens, previous) => model.detokenize(tokens as Token[], withSpecial, previous as Token[]),
      job.stop,
    );
    if (rules?.calls !== undefined) {
      const { form, most, beginsWithCall } = rules.calls;
      this.#calls = new ToolCallStream(form, most, beginsWithCall);
    }
    const fromTheStart = rules?.afterTrigger === true ? undefined : rules?.grammar?.();
    sampler.begin(request, contextSize, fromTheStart);
  }

  get sequence(): Sequence {
    return this.#sequence;
  }

  /** Goes on on another sequence, which has evaluated the same tokens. Between steps only. */
  moveTo(sequence: Sequence): void {
    this.#sequence = sequence;
  }

  get promptTokensLeft(): number {
    return Math.max(0, this.job.tokens.length - this.#sequence.length);
  }

  get usage(): Usage {
    return {
      promptTokens: this.job.tokens.length,
      cachedTokens: this.cachedTokens,
      completionTokens: this.#generated.length,
      ...(this.job.prediction === undefined ? {} : { guesses: this.guesses }),
    };
  }

  /** Tokens of the answer so far. */
  get generatedTokens(): number {
    return this.#generated.length;
  }

  get guesses(): DraftFigures {
    return { ...this.#guesses };
  }

  /** Tokens that its sequence has room for. */
  get room(): number {
    return this.#contextSize - this.#sequence.length;
  }

  /** How the answer may go on. Undefined where that is not known, or it ends with the next token. */
  draft(count: number): Draft | undefined {
    if (this.#generated.length === 0 || this.#generated.length + 1 >= this.job.request.maxTokens)
      return undefined;
    this.#lookup ??= new PromptLookup([...this.#predicted(), ...this.job.tokens, ...this.#generated]);
    const draft = this.#lookup.draft(count);
    return draft === undefined ? undefined : this.#beforeCall(draft);
  }

  /**
   * With the trigger of a call a grammar begins. What is chosen behind it without that is dropped, but a sampler does not
   * take back its random numbers: so nothing is guessed from where a trigger may begin.
   */
  #beforeCall(draft: Draft): Draft | undefined {
    const { rules } = this.job;
    if (rules?.calls === undefined || !rules.afterTrigger || this.#calls?.triggered !== false) return draft;
    if (this.#calls.mayBegin) return undefined;
    const [first = ''] = rules.calls.form.trigger;
    const end = draft.tokens.findIndex((token) => this.#model.detokenize([token], true).includes(first));
    if (end < 0) return draft;
    return end === 0
      ? undefined
      : { ...draft, tokens: draft.tokens.map((token, at) => (at < end ? token : NO_GUESS)) };
  }

  /** `share` tokens of the prompt, or the one just generated and what is guessed to follow it. */
  next(share: number, draft?: readonly Token[]): Evaluation {
    const sequence = this.#sequence;
    const left = this.promptTokensLeft;
    const tokens =
      left > 0 ? this.job.tokens.slice(sequence.length, sequence.length + share) : this.#generated.slice(-1);
    if (share < left) return { sequence, tokens };
    const { topLogprobs } = this.job.request;
    return {
      sequence,
      tokens,
      sampler: this.sampler,
      ...(draft === undefined ? {} : { draft }),
      ...(topLogprobs === undefined ? {} : { topLogprobs }),
    };
  }

  /** What the answer gains by a step. @throws what the step says that went wrong */
  accept({ chosen, error }: Outcome, draft?: Draft): GenerateEvent[] {
    if (error !== undefined) throw error;
    const events: GenerateEvent[] = [];
    const wasHeld = this.#isHeld;
    // Of a draft, all were guessed right but the last.
    const right = draft === undefined ? 0 : chosen.length - 1;
    if (draft !== undefined) this.#lookup?.learn(draft, right);
    this.#guesses.tokens += draft?.tokens.length ?? 0;
    for (const [at, choice] of chosen.entries()) {
      events.push(...this.#take(choice, at < right));
      if (events.at(-1)?.type === 'end') break;
      if (this.#isHeld !== wasHeld) {
        // What was chosen behind this token did not keep to the grammar that has begun with it.
        this.#sequence.keepFirst(this.job.tokens.length + this.#generated.length - 1);
        break;
      }
    }
    return events;
  }

  /** The prediction as if it stood behind the prompt, where the answer begins. */
  #predicted(): readonly Token[] {
    const { prediction, tokens } = this.job;
    return prediction === undefined ? [] : [...tokens.slice(-PREDICTED_BEHIND), ...prediction];
  }

  #take({ token, logprobs }: Choice, wasGuessed: boolean): GenerateEvent[] {
    if (this.#model.isEogToken(token)) return this.#finish('stop', this.#text.end());
    this.#generated.push(token);
    this.#lookup?.add(token);
    if (wasGuessed) this.#guesses.accepted++;
    if (logprobs !== undefined) this.#noteLogprobs(logprobs);
    const { text, stopped } = this.#text.push(token);
    if (stopped) return this.#finish('stop', text);
    if (this.#generated.length >= this.job.request.maxTokens || this.#contextIsFull()) {
      return this.#finish('length', text + this.#text.end());
    }
    if (text === '') return [];
    const events = this.#report(text);
    return this.#calls?.ended === true ? [...events, this.#end('tool_calls')] : events;
  }

  #finish(finishReason: FinishReason, text: string): GenerateEvent[] {
    const events = text === '' ? [] : this.#report(text);
    for (const piece of this.#calls?.end() ?? []) events.push(this.#toEvent(piece));
    const called = finishReason === 'stop' && (this.#calls?.calls ?? 0) > 0;
    events.push(this.#end(called ? 'tool_calls' : finishReason));
    return events;
  }

  #end(finishReason: FinishReason): GenerateEvent {
    return { type: 'end', finishReason, usage: this.usage };
  }

  #report(text: string): GenerateEvent[] {
    if (this.#calls === undefined) return [this.#textEvent(text)];
    const wasTriggered = this.#calls.triggered;
    const pieces = this.#calls.push(text);
    if (!wasTriggered && this.#calls.triggered) pieces.push(...this.#beginGrammar(this.#calls));
    return pieces.map((piece) => this.#toEvent(piece));
  }

  /** The model has begun a call of its own accord: from here on it keeps to the form. */
  #beginGrammar(calls: ToolCallStream): ToolPiece[] {
    const { rules } = this.job;
    if (rules?.grammar === undefined || !rules.afterTrigger) return [];
    const grammar = rules.grammar(calls.behindTrigger);
    if (grammar === undefined) return calls.abandon();
    this.sampler.holdTo(grammar, this.#generated);
    this.#isHeld = true;
    return [];
  }

  #toEvent(piece: ToolPiece): GenerateEvent {
    switch (piece.type) {
      case 'text':
        return this.#textEvent(piece.text);
      case 'call':
        return { type: 'tool-call', index: piece.index, name: piece.name };
      case 'arguments':
        return { type: 'tool-arguments', index: piece.index, text: piece.text, tokens: this.#countNew() };
    }
  }

  #textEvent(text: string): GenerateEvent {
    const event = { type: 'text', text, tokens: this.#countNew() } as const;
    if (this.#logprobs.length === 0) return event;
    const logprobs = this.#logprobs;
    this.#logprobs = [];
    return { ...event, logprobs };
  }

  #noteLogprobs(chosen: RawLogprobs): void {
    const textOf = ({ token, logprob }: { readonly token: Token; readonly logprob: number }) => {
      const text = this.#model.detokenize([token], true);
      const { model: tokenizer, tokens } = this.#model.fileInfo.metadata.tokenizer.ggml;
      const bytes = text.includes('\uFFFD') ? tokenBytes(tokens[token] ?? '', tokenizer) : undefined;
      return { text, logprob, ...(bytes === undefined ? {} : { bytes }) };
    };
    this.#logprobs.push({ ...textOf(chosen.token), top: chosen.top.map(textOf) });
  }

  #countNew(): number {
    const count = this.#generated.length - this.#reported;
    this.#reported = this.#generated.length;
    return count;
  }

  /** Prompt and answer together. */
  #contextIsFull(): boolean {
    return this.job.tokens.length + this.#generated.length >= this.#contextSize;
  }
}
