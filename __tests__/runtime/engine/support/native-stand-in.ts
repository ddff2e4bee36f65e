import type { NativeContext, NativeSampler, SamplerConfig } from '../../../../runtime/src/engine/native';

/** What was asked of llama.cpp, in order; a sampler takes the token that its turn has, -1 when it has none. */
export class NativeStandIn implements NativeContext {
  readonly calls: string[] = [];
  /** Of each sequence: tokens that llama.cpp has. */
  readonly cells = new Map<number, number>();
  /** Where sequences begin: more than 0 for a model with a window. */
  firstPosition = 0;
  /** A model with a state instead of tokens refuses. */
  canForgetSome = true;
  /** What the next evaluation fails with. */
  failure: Error | undefined;
  logits: readonly number[] = [];
  #batch: [sequence: number, tokens: number][] = [];
  #places = 0;

  initBatch(tokens: number): void {
    this.calls.push(`batch of ${tokens}`);
    this.#batch = [];
    this.#places = 0;
  }

  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitsOf: Uint32Array): Uint32Array {
    this.calls.push(`${sequence}@${position}: ${[...tokens].join(' ')}`);
    this.#batch.push([sequence, tokens.length]);
    return Uint32Array.from(logitsOf, () => this.#places++);
  }

  async decodeBatch(): Promise<void> {
    this.calls.push('evaluate');
    for (const [sequence, tokens] of this.#batch)
      this.cells.set(sequence, (this.cells.get(sequence) ?? 0) + tokens);
    await new Promise((resolve) => setImmediate(resolve));
    this.calls.push('evaluated');
    if (this.failure !== undefined) throw this.failure;
  }

  sampleToken(place: number, sampler: NativeSampler): Promise<number>;
  sampleToken(
    place: number,
    sampler: NativeSampler,
    ...wanted: unknown[]
  ): Promise<[number, unknown, unknown, ArrayLike<number>, number]>;
  async sampleToken(place: number, sampler: NativeSampler, ...wanted: unknown[]): Promise<unknown> {
    if (wanted.length > 0) {
      this.calls.push(`read ${place}`);
      const pairs = this.logits.flatMap((logit, token) => [token, logit]);
      const most = Math.max(...this.logits);
      return [
        0,
        undefined,
        undefined,
        pairs,
        this.logits.reduce((sum, one) => sum + Math.exp(one - most), 0),
      ];
    }
    this.calls.push(`choose ${place}`);
    return (sampler as SamplerStandIn).choices.shift() ?? -1;
  }

  disposeSequence(sequence: number): void {
    this.calls.push(`forget ${sequence}`);
    this.cells.delete(sequence);
  }

  removeTokenCellsFromSequence(sequence: number, from: number): boolean {
    if (!this.canForgetSome) return false;
    this.calls.push(`forget ${sequence} from ${from}`);
    this.cells.set(sequence, Math.min(from, this.cells.get(sequence) ?? 0));
    return true;
  }

  getSequenceKvCacheMinPosition(_sequence: number): number {
    return this.firstPosition;
  }

  saveSequenceStateToFile(_path: string, _sequence: number, _tokens: Uint32Array): Promise<number> {
    return Promise.reject(new Error('no room'));
  }

  loadSequenceStateFromFile(_path: string, _sequence: number): Promise<Uint32Array> {
    return Promise.reject(new Error('no such file'));
  }

  setThreads(): void {
    // Nothing is evaluated here.
  }
}

export class SamplerStandIn implements NativeSampler {
  readonly configs: SamplerConfig[] = [];
  constructor(readonly choices: number[] = []) {}

  applyConfig(config: SamplerConfig): void {
    this.configs.push(config);
  }
}
