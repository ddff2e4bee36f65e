/**
 * Aho and Corasick's automaton: finds any of thousands of patterns in one pass over a text, a step for each unit. It
 * can be left and taken up again between two pieces of a stream, and tells how much of what it has seen could still
 * become a match; no library at hand does both.
 */

const ROOT = 0;
const NONE = -1;
/** Nodes between two places where the work can be left: some microseconds. */
const PIECE = 64;

/** Units in a pattern and text are UTF-16 codes. A state is a node's number; begin with 0. */
export class Automaton {
  /** Patterns that end in a node, by the pattern's index. */
  readonly #ends: (readonly number[] | undefined)[] = [undefined];
  /** The node of the longest proper suffix that is a prefix of some pattern. */
  readonly #fail: number[] = [ROOT];
  /** The nearest node on the way of `fail` where a pattern ends. */
  readonly #nextEnd: number[] = [NONE];
  readonly #depth: number[] = [0];
  /** Whether all patterns that go through a node are marked. */
  readonly #allMarked: boolean[] = [true];
  readonly #edges: EdgeTable;
  /** The root's children by code: most steps begin, or end, there. 0: none. */
  readonly #firsts = new Int32Array(0x10000);

  /** Finds nothing. `units`: of all patterns that it is going to have. */
  constructor(units = 0) {
    this.#edges = new EdgeTable(units);
  }

  /**
   * Yields after every small piece of the work, so that it can be done in slices. `isMarked[i]` is a property of
   * pattern i that `pendingUnits` asks about.
   */
  static *build(
    patterns: readonly (readonly number[])[],
    isMarked: readonly boolean[],
  ): Generator<undefined, Automaton> {
    const units = patterns.reduce((sum, pattern) => sum + pattern.length, 0);
    const automaton = new Automaton(units);
    const parents: number[] = [NONE];
    const codes: number[] = [NONE];
    for (const [index, pattern] of patterns.entries()) {
      automaton.#add(pattern, index, isMarked[index] === true, parents, codes);
      yield;
    }
    yield* automaton.#link(parents, codes);
    return automaton;
  }

  /** The state after one more unit. */
  step(state: number, code: number): number {
    for (let node = state; node !== ROOT; node = this.#fail[node] ?? ROOT) {
      const child = this.#edges.get(node, code);
      if (child !== NONE) return child;
    }
    return this.#firsts[code] ?? ROOT;
  }

  /** Indexes of the patterns that end here. */
  *endsAt(state: number): Generator<number, void> {
    for (let node = state; node !== NONE; node = this.#nextEnd[node] ?? NONE) {
      yield* this.#ends[node] ?? [];
    }
  }

  hasEnds(state: number): boolean {
    return this.#ends[state] !== undefined || this.#nextEnd[state] !== NONE;
  }

  /**
   * How many of the last units could be the beginning of a match. `isOpen(units)` tells whether a marked pattern may
   * begin that many units ago; others may anywhere.
   */
  pendingUnits(state: number, isOpen: (units: number) => boolean): number {
    for (let node = state; node !== ROOT; node = this.#fail[node] ?? ROOT) {
      const units = this.#depth[node] ?? 0;
      if (this.#allMarked[node] !== true || isOpen(units)) return units;
    }
    return 0;
  }

  #add(
    pattern: readonly number[],
    index: number,
    isMarked: boolean,
    parents: number[],
    codes: number[],
  ): void {
    let node = ROOT;
    for (const code of pattern) {
      let child = this.#edges.get(node, code);
      if (child === NONE) {
        child = this.#depth.length;
        this.#edges.set(node, code, child);
        if (node === ROOT) this.#firsts[code] = child;
        this.#depth.push((this.#depth[node] ?? 0) + 1);
        this.#ends.push(undefined);
        this.#allMarked.push(true);
        parents.push(node);
        codes.push(code);
      }
      node = child;
      if (!isMarked) this.#allMarked[node] = false;
    }
    this.#ends[node] = [...(this.#ends[node] ?? []), index];
  }

  /** By increasing depth, so that what a node refers to is known before it. */
  *#link(parents: readonly number[], codes: readonly number[]): Generator<undefined, void> {
    const byDepth: number[][] = [];
    for (const [node, depth] of this.#depth.entries()) {
      (byDepth[depth] ??= []).push(node);
      if (node % PIECE === 0) yield;
    }
    for (const nodes of byDepth) {
      for (const [index, node] of nodes.entries()) {
        if (index % PIECE === 0) yield;
        if (node === ROOT) continue;
        const parent = parents[node] ?? ROOT;
        const fail = parent === ROOT ? ROOT : this.step(this.#fail[parent] ?? ROOT, codes[node] ?? 0);
        this.#fail[node] = fail;
        this.#nextEnd[node] = this.#ends[fail] === undefined ? (this.#nextEnd[fail] ?? NONE) : fail;
      }
    }
  }
}

/** (node, code) -> child, with open addressing: a Map of numbers takes five times the memory and the time. */
class EdgeTable {
  readonly #mask: number;
  readonly #nodes: Int32Array;
  readonly #codes: Uint16Array;
  readonly #children: Int32Array;

  constructor(most: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(8, most * 2)));
    this.#mask = size - 1;
    this.#nodes = new Int32Array(size).fill(NONE);
    this.#codes = new Uint16Array(size);
    this.#children = new Int32Array(size);
  }

  get(node: number, code: number): number {
    const slot = this.#slotOf(node, code);
    return this.#nodes[slot] === NONE ? NONE : (this.#children[slot] ?? NONE);
  }

  set(node: number, code: number, child: number): void {
    const slot = this.#slotOf(node, code);
    this.#nodes[slot] = node;
    this.#codes[slot] = code;
    this.#children[slot] = child;
  }

  /** Where the edge is, or would be. */
  #slotOf(node: number, code: number): number {
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(code, 0x85ebca6b)) >>> 0;
    for (slot = (slot ^ (slot >>> 15)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const found = this.#nodes[slot];
      if (found === NONE || (found === node && this.#codes[slot] === code)) return slot;
    }
  }
}
