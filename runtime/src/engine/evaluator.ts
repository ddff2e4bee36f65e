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
  /** Guesses at what the sampler will choose: evaluated along, and kept as far as they are right. */
  readonly draft?: readonly Token[];
  /** With it, the log-probabilities of each chosen token and of this many likeliest ones. */
  readonly topLogprobs?: number;
}

export interface Outcome {
  /** None where nothing was to be chosen; else those that were guessed right and the one behind them. */
  readonly chosen: readonly Choice[];
  /** Why nothing could be chosen. The evaluation itself went well. */
  readonly error?: unknown;
}

export interface Choice {
  readonly token: Token;
  readonly logprobs?: RawLogprobs;
}

const NOTHING: Outcome = { chosen: [] };

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
    let chosen: readonly Promise<Outcome>[] = [];
    try {
      this.#context.initBatch(batch.reduce((sum, evaluation) => sum + lengthOf(evaluation), 0));
      const logits = batch.map((evaluation) => this.#add(evaluation));
      this.#batches++;
      const decoded = this.#context.decodeBatch();
      if (!this.#inOrder) await decoded;
      chosen = batch.map((evaluation, at) => this.#choose(evaluation, logits[at] ?? []));
      // Choices that fail say so themselves, also those of an evaluation that failed.
      await decoded;
      for (const { sequence, tokens, draft } of batch) sequence.evaluated([...tokens, ...(draft ?? [])]);
      const outcomes = new Map<Evaluation, Outcome>();
      for (const [at, evaluation] of batch.entries()) {
        const outcome = (await chosen[at]) ?? NOTHING;
        forgetWrong(evaluation, outcome);
        outcomes.set(evaluation, await this.#withLogprobs(outcome, evaluation, logits[at] ?? []));
      }
      return evaluations.map((evaluation) => outcomes.get(evaluation) ?? NOTHING);
    } catch (error) {
      // Nobody chooses any more with a sampler that another answer may get.
      await Promise.all(chosen);
      for (const { sequence } of batch) sequence.undoEvaluation();
      throw error;
    }
  }

  /** Returns the places of the logits: of the last token and of each that is guessed to follow it. */
  #add({ sequence, tokens, draft = [], sampler }: Evaluation): Uint32Array {
    const logitsOf = sampler === undefined ? [] : [-1, ...draft.keys()].map((at) => tokens.length + at);
    return this.#context.addToBatch(
      sequence.id,
      sequence.length,
      Uint32Array.from([...tokens, ...draft]),
      Uint32Array.from(logitsOf),
    );
  }

  /** One after the other, as long as the next one was evaluated: the sampler takes in what it chooses. */
  async #choose({ sampler, draft = [] }: Evaluation, logits: ArrayLike<number>): Promise<Outcome> {
    const chosen: Choice[] = [];
    if (sampler === undefined) return NOTHING;
    try {
      for (let at = 0; at < logits.length; at++) {
        const token = await this.#context.sampleToken(logits[at] ?? 0, sampler.native);
        if (token < 0) throw new Error('no token is left to choose from');
        chosen.push({ token: token as Token });
        if (token !== draft[at]) break;
      }
      return { chosen };
    } catch (error) {
      return { chosen, error };
    }
  }

  async #withLogprobs(
    outcome: Outcome,
    { topLogprobs }: Evaluation,
    logits: ArrayLike<number>,
  ): Promise<Outcome> {
    if (topLogprobs === undefined) return outcome;
    const chosen: Choice[] = [];
    try {
      for (const [at, { token }] of outcome.chosen.entries())
        chosen.push({ token, logprobs: await this.#readLogprobs(logits[at] ?? 0, token, topLogprobs) });
      return { ...outcome, chosen };
    } catch (error) {
      return { chosen, error };
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

/** Tokens that it puts in the batch. */
export function lengthOf({ tokens, draft = [] }: Evaluation): number {
  return tokens.length + draft.length;
}

/** What was guessed and not chosen. */
function forgetWrong({ sequence, draft = [] }: Evaluation, { chosen }: Outcome): void {
  const right = Math.max(0, chosen.length - 1);
  if (right < draft.length) sequence.keepFirst(sequence.length - draft.length + right);
}

function greedy(sampler: NativeSampler): NativeSampler {
  sampler.applyConfig({ temperature: 0 });
  return sampler;
}
