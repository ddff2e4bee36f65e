import type { LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';

/**
 * What node-llama-cpp keeps to itself. Its public ways to logits either cut and heat them first (`probabilities`), or
 * leave out grammars and penalties (`controlledEvaluate`). Pinned with the package's version; the model tests hold it.
 */
interface SequenceInternals {
  _decodeTokens(...args: unknown[]): Promise<unknown>;
}
interface ModelInternals {
  readonly _llama: { readonly _bindings: { readonly AddonSampler: new (model: unknown) => NativeSampler } };
  readonly _model: unknown;
}
interface ContextInternals {
  readonly _ctx: {
    sampleToken(
      batchIndex: number,
      sampler: NativeSampler,
      probabilities: boolean,
      confidence: boolean,
      logits: readonly [
        tokens: readonly number[],
        max: boolean,
        min: boolean,
        selected: boolean,
        top: number,
      ],
      totalWeight: boolean,
    ): Promise<[token: number, unknown, unknown, logits: ArrayLike<number>, totalWeight: number]>;
  };
}
interface NativeSampler {
  applyConfig(config: object): void;
  dispose(): void;
}
type Sample = (batchIndex: number, tokenIndex: number) => unknown;

/** Which argument of `_decodeTokens` is called with the place of a token's logits. */
const SAMPLE_ARGUMENT = 5;

export interface RawLogprobs {
  readonly token: { readonly token: Token; readonly logprob: number };
  /** Likeliest first. */
  readonly top: readonly { readonly token: Token; readonly logprob: number }[];
}

/** Reads the log-probabilities of what one sequence samples, as the model gave them. */
export class LogitTap {
  readonly #sequence: LlamaContextSequence;
  readonly #context: ContextInternals;
  readonly #sampler: NativeSampler;
  readonly #top: number;
  #last: RawLogprobs | undefined;

  constructor(sequence: LlamaContextSequence, model: LlamaModel, top: number) {
    const internals = model as unknown as ModelInternals;
    this.#sequence = sequence;
    this.#context = sequence.context as unknown as ContextInternals;
    this.#top = top;
    // Greedy: the only chain that leaves every candidate as it is.
    this.#sampler = new internals._llama._bindings.AddonSampler(internals._model);
    this.#sampler.applyConfig({ temperature: 0 });

    const own = sequence as unknown as SequenceInternals;
    const decode = Object.getPrototypeOf(sequence)._decodeTokens as SequenceInternals['_decodeTokens'];
    own._decodeTokens = (...args) => {
      const sample = args[SAMPLE_ARGUMENT] as Sample;
      args[SAMPLE_ARGUMENT] = async (batchIndex: number, tokenIndex: number) => {
        const result = await sample(batchIndex, tokenIndex);
        if (typeof result === 'number' && result >= 0) await this.#read(batchIndex, result as Token);
        return result;
      };
      return decode.apply(sequence, args);
    };
  }

  /** Of the token that was sampled last. */
  get last(): RawLogprobs | undefined {
    return this.#last;
  }

  close(): void {
    delete (this.#sequence as unknown as Partial<SequenceInternals>)._decodeTokens;
    this.#sampler.dispose();
  }

  async #read(batchIndex: number, token: Token): Promise<void> {
    const [, , , pairs, totalWeight] = await this.#context._ctx.sampleToken(
      batchIndex,
      this.#sampler,
      false,
      false,
      [[token], false, false, false, Math.max(1, this.#top)],
      true,
    );
    const logits = new Map<Token, number>();
    for (let at = 0; at + 1 < pairs.length; at += 2) logits.set(pairs[at] as Token, pairs[at + 1] as number);
    const ranked = [...logits].sort((a, b) => b[1] - a[1]);
    // The total counts each candidate relative to the likeliest.
    const norm = (ranked[0]?.[1] ?? 0) + Math.log(totalWeight);
    this.#last = {
      token: { token, logprob: (logits.get(token) ?? -Infinity) - norm },
      top: ranked.slice(0, this.#top).map(([id, logit]) => ({ token: id, logprob: logit - norm })),
    };
  }
}
