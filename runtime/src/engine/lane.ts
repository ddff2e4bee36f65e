import { randomInt } from 'node:crypto';
import type { LlamaContextSequence, LlamaGrammarEvaluationState, Token } from 'node-llama-cpp';
import type {
  ChosenLogprob,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  SamplingOptions,
  Usage,
} from './engine.js';
import type { AnswerRules } from './answer-rules.js';
import { LogitTap } from './logit-tap.js';
import { TextStream } from './text-stream.js';
import { tokenBytes } from './token-bytes.js';
import { ToolCallStream, type ToolPiece } from './tool-call-stream.js';

/** A prompt that was accepted: it fits the context. */
export interface Job {
  readonly id: number;
  readonly request: GenerateRequest;
  readonly tokens: readonly Token[];
  /** The request's stop strings and the chat template's. */
  readonly stop: readonly string[];
  /** What the answer has to be. Undefined when it may be anything. */
  readonly rules?: AnswerRules;
  cancelled: boolean;
}

/**
 * Candidates kept before sampling. OpenAI's semantics have no such cut, but sorting a vocabulary of 128,000 for each
 * token takes longer than evaluating it; what lies beyond is noise even at temperature 1.
 */
const SAMPLED_CANDIDATES = 128;

type EvaluateOptions = NonNullable<Parameters<LlamaContextSequence['evaluateWithMetadata']>[2]>;
type Evaluation = ReturnType<LlamaContextSequence['evaluateWithMetadata']>;

/**
 * One request on one sequence: reads the prompt in slices, then yields a token a step. It does only what the
 * scheduler asks, one step at a time, so between steps it can be cancelled and its sequence used for anything.
 */
export class Lane {
  readonly job: Job;
  readonly cachedTokens: number;
  #sequenceId: number;
  #sequence: LlamaContextSequence;
  readonly #text: TextStream;
  readonly #calls: ToolCallStream | undefined;
  readonly #logits: LogitTap | undefined;
  readonly #generated: Token[] = [];
  /** Of tokens whose text was not reported yet. */
  #logprobs: ChosenLogprob[] = [];
  /** Set while the answer is held to a grammar. */
  #grammar: LlamaGrammarEvaluationState | undefined;
  #read: number;
  #evaluation: Evaluation | undefined;
  /** Tokens whose text was reported, in this or an earlier piece. */
  #reported = 0;

  constructor(job: Job, sequence: LlamaContextSequence, sequenceId: number) {
    this.job = job;
    this.#sequenceId = sequenceId;
    this.#sequence = sequence;
    this.cachedTokens = this.#read = sequence.nextTokenIndex;
    const { rules, request } = job;
    // Models write calls with tokens of their own, which are no text otherwise.
    const withSpecial = rules?.calls !== undefined;
    this.#text = new TextStream(
      (tokens, previous) => sequence.model.detokenize(tokens as Token[], withSpecial, previous as Token[]),
      job.stop,
    );
    if (rules?.calls !== undefined) this.#calls = new ToolCallStream(rules.calls.form, rules.calls.most);
    if (rules?.grammar !== undefined && !rules.afterTrigger) this.#grammar = rules.grammar();
    if (request.topLogprobs !== undefined) {
      this.#logits = new LogitTap(sequence, sequence.model, request.topLogprobs);
    }
  }

  get sequenceId(): number {
    return this.#sequenceId;
  }

  /**
   * A seeded answer stays where it is: the sampler's random numbers would begin anew. So does one that is held to a
   * grammar or whose logits are read: both belong to the evaluation.
   */
  get isMovable(): boolean {
    const { seed, temperature } = this.job.request;
    if (this.job.rules !== undefined || this.#logits !== undefined) return false;
    return this.#evaluation === undefined || seed === undefined || temperature === 0;
  }

  /** Goes on on another sequence, which has evaluated the same tokens. Between steps only. */
  async moveTo(sequence: LlamaContextSequence, id: number): Promise<void> {
    const wasGenerating = this.#evaluation !== undefined;
    await this.close();
    this.#sequence = sequence;
    this.#sequenceId = id;
    if (!wasGenerating) return;
    // The newest token was sampled and is not evaluated yet.
    this.#evaluation = sequence.evaluateWithMetadata(this.#generated.slice(-1), {}, this.#evaluateOptions());
  }

  get promptTokensLeft(): number {
    return this.job.tokens.length - this.#read;
  }

  get usage(): Usage {
    return {
      promptTokens: this.job.tokens.length,
      cachedTokens: this.cachedTokens,
      completionTokens: this.#generated.length,
    };
  }

  /** Evaluates `share` tokens: of the prompt, or the one just generated. Returns what the answer gains by it. */
  async step(share: number): Promise<GenerateEvent[]> {
    if (share < this.promptTokensLeft) {
      const slice = this.job.tokens.slice(this.#read, this.#read + share);
      await this.#sequence.evaluateWithoutGeneratingNewTokens(slice, {
        evaluationPriority: this.#evaluationPriority,
      });
      this.#read += share;
      return [];
    }
    if (this.promptTokensLeft > 0) {
      const slice = this.job.tokens.slice(this.#read);
      this.#evaluation = this.#sequence.evaluateWithMetadata(slice, {}, this.#evaluateOptions());
      const next = await this.#evaluation.next();
      this.#read = this.job.tokens.length;
      return this.#accept(next.done === true ? undefined : next.value.token);
    }
    const next = await this.#evaluation?.next();
    return this.#accept(next === undefined || next.done === true ? undefined : next.value.token);
  }

  /** Ends the evaluation; the sequence keeps what it has evaluated, for the next request that begins the same. */
  async close(): Promise<void> {
    await this.#evaluation?.return();
    this.#evaluation = undefined;
    this.#logits?.close();
  }

  /** `undefined`: the model ended its answer. */
  #accept(token: Token | undefined): GenerateEvent[] {
    if (token === undefined) return this.#finish('stop', this.#text.end());
    this.#generated.push(token);
    this.#noteLogprob();
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
    this.#grammar = rules.grammar(calls.behindTrigger);
    return this.#grammar === undefined ? calls.abandon() : [];
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

  #noteLogprob(): void {
    const last = this.#logits?.last;
    if (last === undefined) return;
    const { model } = this.#sequence;
    const textOf = ({ token, logprob }: { readonly token: Token; readonly logprob: number }) => {
      const text = model.detokenize([token], true);
      const { model: tokenizer, tokens } = model.fileInfo.metadata.tokenizer.ggml;
      const bytes = text.includes('\uFFFD') ? tokenBytes(tokens[token] ?? '', tokenizer) : undefined;
      return { text, logprob, ...(bytes === undefined ? {} : { bytes }) };
    };
    this.#logprobs.push({ ...textOf(last.token), top: last.top.map(textOf) });
  }

  #countNew(): number {
    const count = this.#generated.length - this.#reported;
    this.#reported = this.#generated.length;
    return count;
  }

  /** One place is kept free: node-llama-cpp would shift the context to make room, and the beginning would be lost. */
  #contextIsFull(): boolean {
    return this.#sequence.nextTokenIndex >= this.#sequence.contextSize - 1;
  }

  #evaluateOptions(): EvaluateOptions {
    const sampling = this.job.request;
    return {
      temperature: sampling.temperature,
      topP: sampling.topP,
      topK: SAMPLED_CANDIDATES,
      minP: 0,
      seed: sampling.seed === undefined ? randomInt(2 ** 32 - 1) : sampling.seed >>> 0,
      repeatPenalty: this.#penalties(sampling),
      // Asked anew at each token: a call can begin in the middle of the answer.
      ...(this.job.rules?.grammar === undefined ? {} : { grammarEvaluationState: () => this.#grammar }),
      evaluationPriority: this.#evaluationPriority,
    };
  }

  #penalties({ frequencyPenalty, presencePenalty }: SamplingOptions): EvaluateOptions['repeatPenalty'] {
    if (frequencyPenalty === 0 && presencePenalty === 0) return undefined;
    return {
      punishTokens: () => this.#generated,
      maxPunishTokens: this.#sequence.contextSize,
      penalty: 1,
      frequencyPenalty,
      presencePenalty,
    };
  }

  /** The batching strategy orders by it; the type says 1 to 5, but the value is handed through as it is. */
  get #evaluationPriority(): EvaluateOptions['evaluationPriority'] {
    return this.#sequenceId as EvaluateOptions['evaluationPriority'];
  }
}
