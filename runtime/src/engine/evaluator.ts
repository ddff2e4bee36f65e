import type { Token } from 'node-llama-cpp';
import type { NativeContext, NativeSampler } from './native.js';
import type { Sampler } from './sampler.js';
import type { Sequence } from './sequence.js';

/** What a step does with one sequence. */
export interface Evaluation {
  readonly sequence: Sequence;
  /** At least one; evaluated behind what the sequence has. */
  readonly tokens: readonly Token[];
  /** Chooses what comes after the last token. Without it nothing is chosen: a prompt is not at its end. */
  readonly sampler?: Sampler;
  /** With it, the log-probabilities of the chosen token and of this many likeliest ones. */
  readonly topLogprobs?: number;
}

export interface Outcome {
  /** Undefined where nothing was to be chosen. */
  readonly token?: Token;
  readonly logprobs?: RawLogprobs;
  /** Why nothing could be chosen. The evaluation itself went well. */
  readonly error?: unknown;
}

/** Natural logarithms, as the model gave them: before temperature, penalties, cuts and grammars. */
export interface RawLogprobs {
  readonly token: { readonly token: Token; readonly logprob: number };
  /** Likeliest first. */
  readonly top: readonly { readonly token: Token; readonly logprob: number }[];
}

/**
 * Evaluates tokens of several sequences in one batch, in the order of their ids: llama.cpp evaluates each run of
 * consecutive ids at once.
 *
 * What samples is queued right behind the evaluation, in the one thread of libuv's pool. So between two evaluations of an
 * answer stands one turn of JavaScript and not one for each sequence.
 */
export class Evaluator {
  readonly #context: NativeContext;
  /** Reads logits: greedy is the only choice that leaves them as they are. */
  readonly #reader: () => NativeSampler;
  readonly #inOrder: boolean;
  #batches = 0;

  /** @param poolThreads of libuv: what is queued in more than one does not wait for what was queued before */
  constructor(
    context: NativeContext,
    newSampler: () => NativeSampler,
    poolThreads = process.env['UV_THREADPOOL_SIZE'],
  ) {
    this.#context = context;
    let reader: NativeSampler | undefined;
    this.#reader = () => (reader ??= greedy(newSampler()));
    this.#inOrder = poolThreads === '1';
  }

  /** Evaluations that llama.cpp was asked for. */
  get batches(): number {
    return this.#batches;
  }

  setThreads(threads: number): void {
    this.#context.setThreads(threads);
  }

  /**
   * One outcome for each evaluation.
   * @throws when llama.cpp cannot evaluate; the sequences are then as they were, or empty where the model cannot go back
   */
  async evaluate(evaluations: readonly Evaluation[]): Promise<Outcome[]> {
    const batch = [...evaluations].sort((a, b) => a.sequence.id - b.sequence.id);
    try {
      this.#context.initBatch(batch.reduce((sum, { tokens }) => sum + tokens.length, 0));
      const logits = batch.map((evaluation) => this.#add(evaluation));
      this.#batches++;
      const decoded = this.#context.decodeBatch();
      if (!this.#inOrder) await decoded;
      const chosen = batch.map(({ sampler }, at) => this.#choose(sampler, logits[at]));
      // Choices that fail say so themselves, also those of an evaluation that failed.
      await decoded;
      for (const { sequence, tokens } of batch) sequence.evaluated(tokens);
      const outcomes = new Map<Evaluation, Outcome>();
      for (const [at, evaluation] of batch.entries()) {
        const outcome = (await chosen[at]) ?? {};
        outcomes.set(evaluation, await this.#withLogprobs(outcome, evaluation, logits[at]));
      }
      return evaluations.map((evaluation) => outcomes.get(evaluation) ?? {});
    } catch (error) {
      for (const { sequence } of batch) sequence.undoEvaluation();
      throw error;
    }
  }

  /** Returns the place of the last token's logits. */
  #add({ sequence, tokens, sampler }: Evaluation): number | undefined {
    const logitsOf = sampler === undefined ? [] : [tokens.length - 1];
    return this.#context.addToBatch(
      sequence.id,
      sequence.length,
      Uint32Array.from(tokens),
      Uint32Array.from(logitsOf),
    )[0];
  }

  async #choose(sampler: Sampler | undefined, logits: number | undefined): Promise<Outcome> {
    if (sampler === undefined || logits === undefined) return {};
    try {
      const token = await this.#context.sampleToken(logits, sampler.native);
      if (token < 0) throw new Error('no token is left to choose from');
      return { token: token as Token };
    } catch (error) {
      return { error };
    }
  }

  async #withLogprobs(
    outcome: Outcome,
    { topLogprobs }: Evaluation,
    logits: number | undefined,
  ): Promise<Outcome> {
    const { token } = outcome;
    if (token === undefined || topLogprobs === undefined || logits === undefined) return outcome;
    try {
      return { token, logprobs: await this.#readLogprobs(logits, token, topLogprobs) };
    } catch (error) {
      return { error };
    }
  }

  async #readLogprobs(place: number, token: Token, top: number): Promise<RawLogprobs> {
    const [, , , pairs, totalWeight] = await this.#context.sampleToken(
      place,
      this.#reader(),
      false,
      false,
      [[token], false, false, false, Math.max(1, top)],
      true,
    );
    const logits = new Map<Token, number>();
    for (let at = 0; at + 1 < pairs.length; at += 2) logits.set(pairs[at] as Token, pairs[at + 1] as number);
    const ranked = [...logits].sort((a, b) => b[1] - a[1]);
    // The total counts each candidate relative to the likeliest.
    const norm = (ranked[0]?.[1] ?? 0) + Math.log(totalWeight);
    return {
      token: { token, logprob: (logits.get(token) ?? -Infinity) - norm },
      top: ranked.slice(0, top).map(([id, logit]) => ({ token: id, logprob: logit - norm })),
    };
  }
}

function greedy(sampler: NativeSampler): NativeSampler {
  sampler.applyConfig({ temperature: 0 });
  return sampler;
}
