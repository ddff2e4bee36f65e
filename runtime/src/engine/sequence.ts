import type { Token } from 'node-llama-cpp';
import type { NativeContext } from './native.js';
import type { EvaluatedTokens } from './token-prefix.js';

/**
 * One of the context's sequences: which tokens it has evaluated, and what can be done with that between evaluations.
 * All there are live as long as the process: making them anew costs speed.
 */
export class Sequence implements EvaluatedTokens {
  readonly id: number;
  readonly #context: NativeContext;
  /** Tokens that the model looks at, the one that it reads among them; undefined where it looks at all. */
  readonly #window: number | undefined;
  #tokens: Token[] = [];

  constructor(id: number, context: NativeContext, window?: number) {
    this.id = id;
    this.#context = context;
    this.#window = window;
  }

  /** Evaluated, in their order. */
  get tokens(): readonly Token[] {
    return this.#tokens;
  }

  get length(): number {
    return this.#tokens.length;
  }

  get shortestPrefix(): number {
    return this.#shortestPrefixFrom(this.#context.getSequenceKvCacheMinPosition(this.id));
  }

  /** What another has that has taken over what `save` writes: of a window, only what the last token looked at. */
  get asSaved(): EvaluatedTokens {
    const first = this.#context.getSequenceKvCacheMinPosition(this.id);
    const firstSaved = this.#window === undefined ? first : Math.max(first, this.length - this.#window);
    return { tokens: this.#tokens, shortestPrefix: this.#shortestPrefixFrom(firstSaved) };
  }

  /** An evaluation has added these. */
  evaluated(tokens: readonly Token[]): void {
    // Not spread into arguments: a prompt may be longer than a call may have.
    for (const token of tokens) this.#tokens.push(token);
  }

  /** Keeps the first tokens and no others; none at all where the model cannot go back that far. Returns how many it has. */
  keepFirst(length: number): number {
    if (length >= this.#tokens.length) return this.#tokens.length;
    if (length > 0 && length >= this.shortestPrefix) {
      if (this.#context.removeTokenCellsFromSequence(this.id, length, -1)) {
        this.#tokens.length = length;
        return length;
      }
    }
    this.clear();
    return 0;
  }

  clear(): void {
    this.#context.disposeSequence(this.id);
    this.#tokens = [];
  }

  /**
   * An evaluation failed on the way: what llama.cpp has of it is forgotten, and all the rest too where that cannot be
   * parted, as in a state that has moved on. The cells of a window outlast the largest batch.
   */
  undoEvaluation(): void {
    const { length } = this.#tokens;
    if (length === 0 || !this.#context.removeTokenCellsFromSequence(this.id, length, -1)) this.clear();
  }

  /** Resolves to the file's size. @throws where it cannot be written */
  save(path: string): Promise<number> {
    return this.#context.saveSequenceStateToFile(path, this.id, Uint32Array.from(this.#tokens));
  }

  /** Takes over what another has saved, of so many tokens. @throws where it cannot be read; then it is empty */
  async load(path: string, tokens: number): Promise<void> {
    this.clear();
    try {
      const loaded = await this.#context.loadSequenceStateFromFile(path, this.id, tokens);
      this.#tokens = Array.from(loaded) as Token[];
    } catch (error) {
      this.clear();
      throw error;
    }
  }

  /**
   * Of a model with a window, and of one that keeps a state instead of tokens, the beginning is gone: who goes back
   * needs all that the token before saw.
   */
  #shortestPrefixFrom(firstPosition: number): number {
    if (firstPosition <= 0) return 0;
    if (this.#window === undefined) return this.length;
    // The token behind so many looks at the first one that is there.
    return Math.min(this.length, firstPosition + this.#window - 1);
  }
}
