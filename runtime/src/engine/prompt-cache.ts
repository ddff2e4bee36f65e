import type { Token } from 'node-llama-cpp';
import type { PromptCacheFigures } from './engine.js';
import { usablePrefix, WORTH_MOVING_TOKENS, type EvaluatedTokens } from './token-prefix.js';

/** What the cache keeps: see SequenceSnapshot. */
export interface CachedState extends EvaluatedTokens {
  readonly bytes: number;
  dispose(): void;
}

/**
 * Conversations that lost their sequence to another, up to a number of bytes: so that the next turn reads only what
 * is new, whichever sequence it lands on and however many conversations there are. The longest unused goes first.
 */
export class PromptCache<State extends CachedState> {
  readonly limitBytes: number;
  /** The longest unused first. */
  readonly #states = new Set<State>();
  #bytes = 0;
  /** Of the last state: what the next will take. */
  #bytesPerToken = 0;
  #hits = 0;
  #evictions = 0;

  /** With a limit of 0 it keeps nothing. */
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#states.size;
  }

  get figures(): PromptCacheFigures {
    return {
      limitBytes: this.limitBytes,
      bytes: this.#bytes,
      conversations: this.size,
      hits: this.#hits,
      evictions: this.#evictions,
    };
  }

  /** The state of which the most can be kept of the beginning that it shares with `tokens`. */
  find(tokens: readonly Token[]): { readonly state: State; readonly prefix: number } | undefined {
    let best: { state: State; prefix: number } | undefined;
    for (const state of this.#states) {
      const prefix = usablePrefix(state, tokens);
      if (prefix > 0 && prefix > (best?.prefix ?? 0)) best = { state, prefix };
    }
    return best;
  }

  /** It was used: it stays longer than those that were not. */
  touch(state: State): void {
    if (this.#states.delete(state)) this.#states.add(state);
  }

  /** Takes it out for use, without giving its memory back: whoever holds it adds it again or disposes of it. */
  take(state: State): void {
    this.#hits++;
    this.#remove(state);
  }

  add(state: State): void {
    this.#states.add(state);
    this.#bytes += state.bytes;
    this.#shrinkTo(this.limitBytes);
  }

  /** Keeps what `take` copies, unless another state serves as well. Makes room before the copy is made. */
  async keep(evaluated: EvaluatedTokens, take: () => Promise<State | undefined>): Promise<void> {
    const { tokens } = evaluated;
    const known = this.find(tokens);
    if (known !== undefined && tokens.length - known.prefix < WORTH_MOVING_TOKENS) {
      this.touch(known.state);
      return;
    }
    if (tokens.length * this.#bytesPerToken > this.limitBytes || this.limitBytes === 0) return;
    // An earlier turn of the same conversation is part of this one, where the model can go back to it.
    for (const state of [...this.#states]) {
      if (usablePrefix(evaluated, state.tokens) === state.tokens.length) this.#drop(state);
    }
    this.#shrinkTo(this.limitBytes - tokens.length * this.#bytesPerToken);
    const state = await take();
    if (state === undefined) return;
    this.#bytesPerToken = state.bytes / Math.max(1, state.tokens.length);
    this.add(state);
  }

  /** For a copy of so many tokens that lies beside the cache for a moment: both together keep to the limit where they can. */
  makeRoom(tokens: number): void {
    const bytes = tokens * this.#bytesPerToken;
    if (bytes <= this.limitBytes) this.#shrinkTo(this.limitBytes - bytes);
  }

  #shrinkTo(bytes: number): void {
    for (const state of this.#states) {
      if (this.#bytes <= bytes) return;
      this.#evictions++;
      this.#drop(state);
    }
  }

  #drop(state: State): void {
    this.#remove(state);
    state.dispose();
  }

  #remove(state: State): void {
    if (this.#states.delete(state)) this.#bytes -= state.bytes;
  }
}
