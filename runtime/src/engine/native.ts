export type { Token } from 'node-llama-cpp';
import type { LlamaContext, LlamaGrammarEvaluationState, LlamaModel, Token } from 'node-llama-cpp';

/**
 * llama.cpp as node-llama-cpp's own classes call it. Its public ways to evaluate put every token through a queue, a lock
 * and a generator, and sample only when JavaScript has seen the evaluation end: 0.8 ms of a step of 7. None of this is
 * documented: it is the only file that knows of it, the package's version is pinned, and the model tests hold it.
 */
export interface NativeContext {
  /** Begins a new batch with room for so many tokens. */
  initBatch(tokens: number): void;
  /** Returns where in the batch the logits will be of the tokens that `logitsOf` counts out of `tokens`. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitsOf: Uint32Array): Uint32Array;
  /** Queued in libuv's pool, as all that returns a promise here. */
  decodeBatch(): Promise<void>;
  /** The sampler takes the token in (its penalties, its grammar); -1 where nothing is left to choose from. */
  sampleToken(logits: number, sampler: NativeSampler): Promise<number>;
  /** With the logits of `wanted[0]` and of the `wanted[4]` likeliest ones, in pairs, and the sum of all weights. */
  sampleToken(
    logits: number,
    sampler: NativeSampler,
    probabilities: false,
    confidence: false,
    wanted: readonly [tokens: readonly number[], max: false, min: false, selected: false, top: number],
    totalWeight: true,
  ): Promise<[token: number, unknown, unknown, logits: ArrayLike<number>, totalWeight: number]>;
  /** Forgets all of a sequence. */
  disposeSequence(sequence: number): void;
  /** Forgets the tokens at `from` to `to - 1`; -1: to the end. False where only all can be forgotten. */
  removeTokenCellsFromSequence(sequence: number, from: number, to: number): boolean;
  /** The first position that is kept: more than 0 where the model looks at a window, or has a state of the last alone. */
  getSequenceKvCacheMinPosition(sequence: number): number;
  /** Resolves to the file's size. */
  saveSequenceStateToFile(path: string, sequence: number, tokens: Uint32Array): Promise<number>;
  loadSequenceStateFromFile(path: string, sequence: number, mostTokens: number): Promise<Uint32Array>;
  setThreads(threads: number): void;
}

export interface NativeSampler {
  /** What is the same as before keeps its state: the random numbers of a seed, the tokens that are punished. */
  applyConfig(config: SamplerConfig): void;
}

export interface SamplerConfig {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly repeatPenalty?: number;
  readonly repeatPenaltyMaxTokens?: number;
  /** Generated so far. */
  readonly repeatPenaltyTokens?: Uint32Array;
  readonly repeatPenaltyFrequencyPenalty?: number;
  readonly repeatPenaltyPresencePenalty?: number;
  readonly grammarEvaluationState?: NativeGrammarState;
}

/** Made by LlamaGrammarEvaluationState. */
export type NativeGrammarState = object;

interface NativeSamplerClass {
  /** Takes 12 bytes for each entry of the vocabulary, which are freed when V8 collects it: keep it. */
  new (model: unknown): NativeSampler;
  canBeNextTokenForGrammarEvaluationState(state: NativeGrammarState, token: Token): boolean;
  acceptGrammarEvaluationStateToken(state: NativeGrammarState, token: Token): void;
}

interface ModelInternals {
  readonly _model: unknown;
  readonly _llama: { readonly _bindings: { readonly AddonSampler: NativeSamplerClass } };
}

export function nativeContext(context: LlamaContext): NativeContext {
  return (context as unknown as { readonly _ctx: NativeContext })._ctx;
}

export function newNativeSampler(model: LlamaModel): NativeSampler {
  const { _model, _llama } = model as unknown as ModelInternals;
  return new _llama._bindings.AddonSampler(_model);
}

export function nativeGrammar(state: LlamaGrammarEvaluationState): NativeGrammarState {
  return (state as unknown as { readonly _state: NativeGrammarState })._state;
}

/** Tells a grammar of a token that was generated before it began. False: it does not fit, and the state is as it was. */
export function acceptInGrammar(model: LlamaModel, state: NativeGrammarState, token: Token): boolean {
  const { AddonSampler } = (model as unknown as ModelInternals)._llama._bindings;
  if (!AddonSampler.canBeNextTokenForGrammarEvaluationState(state, token)) return false;
  AddonSampler.acceptGrammarEvaluationStateToken(state, token);
  return true;
}
