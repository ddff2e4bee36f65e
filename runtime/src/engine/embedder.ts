import type { LlamaEmbeddingContext, Token } from 'node-llama-cpp';
import { messageOf } from '../errors/message-of.js';
import type { EmbedRequest } from './engine.js';
import type { RequestEvent, RequestFailure } from './protocol.js';
import type { ThreadGovernor } from './thread-governor.js';

export interface EmbedderOptions {
  readonly context: LlamaEmbeddingContext;
  /** Most tokens of an input, with those that the model adds. */
  readonly contextSize: number;
  /** Requests that take turns; further ones wait. */
  readonly sequences: number;
  readonly threads: ThreadGovernor;
  readonly emit: (events: readonly RequestEvent[]) => void;
}

interface Job {
  readonly id: number;
  readonly inputs: EmbedRequest['inputs'];
  next: number;
}

/** Makes vectors of texts: one input at a time, of one request after the other, so that a long list holds up nobody. */
export class Embedder {
  readonly #options: EmbedderOptions;
  #jobs: Job[] = [];
  #loop: Promise<void> | undefined;
  #started: number | undefined;
  #stopped = false;

  constructor(options: EmbedderOptions) {
    this.#options = options;
  }

  /** How long the evaluation under way has taken. */
  get stepMs(): number {
    return this.#started === undefined ? 0 : performance.now() - this.#started;
  }

  submit(id: number, inputs: EmbedRequest['inputs']): void {
    this.#jobs.push({ id, inputs, next: 0 });
    this.#loop ??= this.#run().finally(() => (this.#loop = undefined));
  }

  cancel(id: number): void {
    const job = this.#jobs.find((candidate) => candidate.id === id);
    if (job !== undefined) this.#end(job, { type: 'cancelled' });
  }

  /** Ends after the evaluation under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  /** One vector of length 1, as similarities are compared, and how many tokens it took. @throws EmbedFailure */
  async vector(
    input: EmbedRequest['inputs'][number],
    index = 0,
  ): Promise<{ values: Float32Array; tokens: number }> {
    const { context, contextSize, threads } = this.#options;
    const given = this.#framed(this.#tokensOf(input));
    const tokens = context.calculateInputLength(given);
    if (tokens >= contextSize) {
      throw new EmbedFailure(
        'context_length_exceeded',
        `\`input[${index}]\` has ${tokens} tokens, and this model takes fewer than ${contextSize} at once; cut it into parts`,
        { inputTokens: tokens, contextSize },
      );
    }
    threads.stepBegins();
    this.#started = performance.now();
    try {
      const { vector } = await context.getEmbeddingFor(given);
      return { values: normalised(vector), tokens };
    } finally {
      this.#started = undefined;
      threads.stepEnds();
    }
  }

  /** Of nothing but spaces some tokenizers make nothing; between the marks of beginning and end it has its vector. */
  #framed(tokens: Token[]): Token[] {
    if (tokens.length > 0) return tokens;
    const { context } = this.#options;
    const { bos, eos } = context.model.tokens;
    const frame = context.calculateInputLength([]);
    const mark = [bos, eos].find(
      (token) => token !== null && context.calculateInputLength([token]) === frame,
    );
    if (mark != null) return [mark];
    throw new EmbedFailure(
      'prompt_refused',
      'An input has no tokens of this model: it is empty, or only spaces',
    );
  }

  #tokensOf(input: EmbedRequest['inputs'][number]): Token[] {
    const { model } = this.#options.context;
    if (typeof input === 'string') return model.tokenize(input);
    const vocabulary = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
    const foreign = input.find((token) => token >= vocabulary);
    if (foreign === undefined) return [...input] as Token[];
    throw new EmbedFailure(
      'prompt_refused',
      `The token ${foreign} is none of this model's: its vocabulary has ${vocabulary}`,
    );
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const turn = this.#jobs.slice(0, this.#options.sequences);
      if (turn.length === 0) return;
      for (const job of turn) if (!this.#stopped && this.#jobs.includes(job)) await this.#advance(job);
    }
  }

  async #advance(job: Job): Promise<void> {
    const input = job.inputs[job.next];
    if (input === undefined) throw new RangeError(`request ${job.id} has no input ${job.next}`);
    if (job.next === 0) this.#emit(job, { type: 'start', promptTokens: 0, cachedTokens: 0 });
    try {
      const { values, tokens } = await this.vector(input, job.next);
      if (!this.#jobs.includes(job)) return;
      job.next++;
      const isLast = job.next === job.inputs.length;
      const event = { type: 'vector', base64: toBase64(values), tokens, isLast } as const;
      if (isLast) this.#end(job, event);
      else this.#emit(job, event);
    } catch (error) {
      if (this.#jobs.includes(job)) this.#end(job, failureOf(error));
    }
    // A turn of the event loop: messages come in.
    await new Promise((resolve) => setImmediate(resolve));
  }

  #end(job: Job, last: RequestEvent[1]): void {
    this.#jobs = this.#jobs.filter((other) => other !== job);
    this.#emit(job, last);
  }

  #emit(job: Job, event: RequestEvent[1]): void {
    this.#options.emit([[job.id, event]]);
  }
}

class EmbedFailure extends Error {
  constructor(
    readonly code: RequestFailure['code'],
    message: string,
    readonly details: RequestFailure['details'] = {},
  ) {
    super(message);
  }
}

function failureOf(error: unknown): RequestFailure {
  if (error instanceof EmbedFailure) {
    return { type: 'error', code: error.code, message: error.message, details: error.details };
  }
  const message = `the evaluation failed: ${messageOf(error)}`;
  return { type: 'error', code: 'engine_interrupted', message, details: {} };
}

function normalised(vector: readonly number[]): Float32Array {
  const length = Math.hypot(...vector);
  return Float32Array.from(vector, (value) => (length === 0 ? 0 : value / length));
}

function toBase64(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64');
}
