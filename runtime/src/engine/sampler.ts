import { randomInt } from 'node:crypto';
import type { LlamaGrammarEvaluationState, LlamaModel, Token } from 'node-llama-cpp';
import type { SamplingOptions } from './engine.js';
import { nativeGrammar, newNativeSampler, type NativeSampler, type SamplerConfig } from './native.js';

/**
 * Candidates kept before sampling. OpenAI's semantics have no such cut, but sorting a vocabulary of 128,000 for each
 * token takes longer than evaluating it; what lies beyond is noise even at temperature 1.
 */
const SAMPLED_CANDIDATES = 128;
const LIKELIEST: SamplerConfig = { temperature: 0 };
/** llama.cpp takes this seed for "any". */
const ANY_SEED = 2 ** 32 - 1;

/** Chooses the tokens of one answer; the likeliest until it begins one. It knows nothing of the sequence, so an answer can go on on another. */
export class Sampler {
  readonly native: NativeSampler;
  #config: SamplerConfig = LIKELIEST;

  constructor(native: NativeSampler) {
    this.native = native;
    this.end();
  }

  /** Begins an answer; nothing of the last one is left. `mostTokens`: as many as can be generated. */
  begin(options: SamplingOptions, mostTokens: number, grammar?: LlamaGrammarEvaluationState): void {
    const seed = options.seed === undefined ? randomInt(ANY_SEED) : seedOf(options.seed);
    // A seed that is as before goes on with its random numbers, and punished tokens stay: so both are changed first.
    this.native.applyConfig({ temperature: 0, seed: (seed + 1) % ANY_SEED });
    this.#config = {
      temperature: options.temperature,
      topK: SAMPLED_CANDIDATES,
      topP: options.topP,
      seed,
      ...penalties(options, mostTokens),
      ...(grammar === undefined ? {} : { grammarEvaluationState: nativeGrammar(grammar) }),
    };
    this.native.applyConfig(this.#config);
  }

  /** From the next token on the answer keeps to the grammar; `generated` are those before. */
  holdTo(grammar: LlamaGrammarEvaluationState, generated: readonly Token[]): void {
    const isPunishing = this.#config.repeatPenaltyTokens !== undefined;
    this.#config = { ...this.#config, grammarEvaluationState: nativeGrammar(grammar) };
    this.native.applyConfig({
      ...this.#config,
      ...(isPunishing ? { repeatPenaltyTokens: Uint32Array.from(generated) } : {}),
    });
  }

  /** The answer has ended: lets go of its grammar. */
  end(): void {
    this.native.applyConfig(LIKELIEST);
  }
}

/** Samplers that wait for an answer: made once, because their memory is only freed when V8 collects them. */
export class SamplerPool {
  readonly #model: LlamaModel;
  readonly #idle: Sampler[] = [];

  constructor(model: LlamaModel) {
    this.#model = model;
  }

  take(): Sampler {
    return this.#idle.pop() ?? new Sampler(newNativeSampler(this.#model));
  }

  give(sampler: Sampler): void {
    sampler.end();
    this.#idle.push(sampler);
  }
}

/** Any whole number, as one that llama.cpp repeats. */
function seedOf(seed: number): number {
  const unsigned = seed >>> 0;
  return unsigned === ANY_SEED ? ANY_SEED - 1 : unsigned;
}

/** The sampler takes in what it samples: the tokens need not be told again. */
function penalties({ frequencyPenalty, presencePenalty }: SamplingOptions, mostTokens: number) {
  if (frequencyPenalty === 0 && presencePenalty === 0) return {};
  return {
    repeatPenalty: 1,
    repeatPenaltyMaxTokens: mostTokens,
    repeatPenaltyTokens: new Uint32Array(),
    repeatPenaltyFrequencyPenalty: frequencyPenalty,
    repeatPenaltyPresencePenalty: presencePenalty,
  };
}
