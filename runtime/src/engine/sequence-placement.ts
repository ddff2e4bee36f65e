import type { Token } from 'node-llama-cpp';
import type { PromptCacheFigures } from './engine.js';
import type { PromptCache } from './prompt-cache.js';
import { chooseSequence, countRuns } from './sequence-pool.js';
import type { Sequence } from './sequence.js';
import { SequenceSnapshot } from './sequence-snapshot.js';
import { usablePrefix, WORTH_MOVING_TOKENS } from './token-prefix.js';

/** A running request that can go on on another sequence. */
export interface Movable {
  readonly sequence: Sequence;
  moveTo(sequence: Sequence): void;
}

/**
 * Where requests run and what they find there. Where is decided by the neighbours: running sequences are to be
 * consecutive. What is found there is brought from wherever it was evaluated: another sequence or the cache.
 */
export class SequencePlacement {
  readonly #sequences: readonly Sequence[];
  readonly #cache: PromptCache<SequenceSnapshot>;
  readonly #lastUsed: number[];
  #uses = 0;
  #moves = 0;

  constructor(sequences: readonly Sequence[], cache: PromptCache<SequenceSnapshot>) {
    this.#sequences = sequences;
    this.#cache = cache;
    this.#lastUsed = sequences.map(() => 0);
  }

  /** Evaluated beginnings that were brought to another sequence, and running requests that were. */
  get moves(): number {
    return this.#moves;
  }

  get promptCache(): PromptCacheFigures {
    return this.#cache.figures;
  }

  sequence(id: number): Sequence {
    const sequence = this.#sequences[id];
    if (sequence === undefined) throw new RangeError(`there is no sequence ${id}`);
    return sequence;
  }

  /** How many of the first tokens need not be read, wherever the request runs. */
  usablePrefix(tokens: readonly Token[]): number {
    const here = Math.max(...this.#sequences.map((sequence) => usablePrefix(sequence.asSaved, tokens)));
    return Math.max(here, this.#cache.find(tokens)?.prefix ?? 0);
  }

  /** Chooses a sequence that is not in use, and brings there what can be kept of the prompt's evaluated beginning. */
  async place(tokens: readonly Token[], running: ReadonlySet<number>): Promise<Sequence> {
    const id = this.#choose(tokens, running);
    const target = this.sequence(id);
    const prefixes = this.#sequences.map((sequence) =>
      usablePrefix(sequence === target ? sequence : sequence.asSaved, tokens),
    );
    const own = prefixes[id] ?? 0;
    const longest = Math.max(...prefixes);
    const cached = this.#cache.find(tokens);
    const isCached =
      cached !== undefined && cached.prefix > longest && cached.prefix - own >= WORTH_MOVING_TOKENS;

    // Out of the cache first: room for what is displaced must not be made of what is wanted.
    if (isCached) this.#cache.take(cached.state);
    if (target.length - own >= WORTH_MOVING_TOKENS) await this.#keep(target);
    if (isCached) {
      if (await cached.state.restore(target)) this.#moves++;
      // The same conversation goes on here, where the next one finds it.
      if (cached.state.tokens.length - cached.prefix < WORTH_MOVING_TOKENS) cached.state.dispose();
      else this.#cache.add(cached.state);
    } else if (longest - own >= WORTH_MOVING_TOKENS) {
      const from = prefixes.indexOf(longest);
      await this.#copy(this.sequence(from), target);
      // The same conversation went on elsewhere: what it leaves behind is nobody's.
      const left = this.sequence(from);
      if (!running.has(from) && left.length - longest < WORTH_MOVING_TOKENS) left.clear();
    }
    this.#lastUsed[id] = ++this.#uses;
    return target;
  }

  /** Moves running requests together, where that makes fewer evaluations of a step. */
  async compact<Lane extends Movable>(lanes: ReadonlyMap<number, Lane>): Promise<Lane | undefined> {
    const ids = [...lanes.keys()];
    let best: { lane: Lane; to: number; runs: number; tokens: number } | undefined;
    for (const lane of lanes.values()) {
      const others = ids.filter((id) => id !== lane.sequence.id);
      const tokens = lane.sequence.length;
      for (const to of this.#sequences.keys()) {
        if (lanes.has(to)) continue;
        const runs = countRuns([...others, to]);
        if (runs >= countRuns(ids)) continue;
        if (best === undefined || runs < best.runs || (runs === best.runs && tokens < best.tokens))
          best = { lane, to, runs, tokens };
      }
    }
    if (best === undefined) return undefined;
    const { lane } = best;
    const from = lane.sequence;
    const to = this.sequence(best.to);
    if (to.length >= WORTH_MOVING_TOKENS) await this.#keep(to);
    if (!(await this.#copy(from, to))) return undefined;
    lane.moveTo(to);
    from.clear();
    this.#lastUsed[to.id] = this.#lastUsed[from.id] ?? 0;
    return lane;
  }

  #choose(tokens: readonly Token[], running: ReadonlySet<number>): number {
    const free = this.#sequences.flatMap((sequence, id) => {
      if (running.has(id)) return [];
      const prefix = usablePrefix(sequence, tokens);
      const continues = prefix >= WORTH_MOVING_TOKENS || sequence.length - prefix < WORTH_MOVING_TOKENS;
      // A few tokens that all conversations share are no reason to overwrite one that was just used.
      return [{ id, prefix: continues ? prefix : 0, lastUsed: this.#lastUsed[id] ?? 0 }];
    });
    const choice = chooseSequence(free, [...running]);
    if (choice === undefined) throw new RangeError('every sequence is in use');
    return choice.id;
  }

  #keep(sequence: Sequence): Promise<void> {
    return this.#cache.keep(sequence.asSaved, () => SequenceSnapshot.take(sequence));
  }

  /** False: `from` could not be copied; `to` is as it was, or empty. */
  async #copy(from: Sequence, to: Sequence): Promise<boolean> {
    this.#cache.makeRoom(from.length);
    const snapshot = await SequenceSnapshot.take(from);
    if (snapshot === undefined) return false;
    try {
      const copied = await snapshot.restore(to);
      if (copied) this.#moves++;
      return copied;
    } finally {
      snapshot.dispose();
    }
  }
}
