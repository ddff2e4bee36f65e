import { randomInt } from 'node:crypto';
import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { FinishReason, GenerateEvent, GenerateRequest, SamplingOptions, Usage } from './engine.js';
import { TextStream } from './text-stream.js';

/** A prompt that was accepted: it fits the context. */
export interface Job {
  readonly id: number;
  readonly request: GenerateRequest;
  readonly tokens: readonly Token[];
  /** The request's stop strings and the chat template's. */
  readonly stop: readonly string[];
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
  readonly sequenceId: number;
  readonly cachedTokens: number;
  readonly #sequence: LlamaContextSequence;
  readonly #text: TextStream;
  readonly #generated: Token[] = [];
  #read: number;
  #evaluation: Evaluation | undefined;
  /** Tokens whose text was reported, in this or an earlier piece. */
  #reported = 0;

  constructor(job: Job, sequence: LlamaContextSequence, sequenceId: number) {
    this.job = job;
    this.sequenceId = sequenceId;
    this.#sequence = sequence;
    this.cachedTokens = this.#read = sequence.nextTokenIndex;
    this.#text = new TextStream(
      (tokens, previous) => sequence.model.detokenize(tokens as Token[], false, previous as Token[]),
      job.stop,
    );
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
    if (this.#evaluation === undefined) {
      const slice = this.job.tokens.slice(this.#read);
      this.#evaluation = this.#sequence.evaluateWithMetadata(slice, {}, this.#evaluateOptions());
      const next = await this.#evaluation.next();
      this.#read = this.job.tokens.length;
      return this.#accept(next.done === true ? undefined : next.value.token);
    }
    const next = await this.#evaluation.next();
    return this.#accept(next.done === true ? undefined : next.value.token);
  }

  /** Ends the evaluation; the sequence keeps what it has evaluated, for the next request that begins the same. */
  async close(): Promise<void> {
    await this.#evaluation?.return();
    this.#evaluation = undefined;
  }

  /** `undefined`: the model ended its answer. */
  #accept(token: Token | undefined): GenerateEvent[] {
    if (token === undefined) return this.#finish('stop', this.#text.end());
    this.#generated.push(token);
    const { text, stopped } = this.#text.push(token);
    if (stopped) return this.#finish('stop', text);
    if (this.#generated.length >= this.job.request.maxTokens || this.#contextIsFull()) {
      return this.#finish('length', text + this.#text.end());
    }
    return text === '' ? [] : [{ type: 'text', text, tokens: this.#countNew() }];
  }

  #finish(finishReason: FinishReason, text: string): GenerateEvent[] {
    const events: GenerateEvent[] = [];
    if (text !== '') events.push({ type: 'text', text, tokens: this.#countNew() });
    events.push({ type: 'end', finishReason, usage: this.usage });
    return events;
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
    return this.sequenceId as EvaluateOptions['evaluationPriority'];
  }
}
