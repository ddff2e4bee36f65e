export interface FreeSequence {
  readonly id: number;
  /** How many of the request's first tokens this sequence has evaluated already. */
  readonly prefix: number;
  /** When it was last used; smaller is longer ago. */
  readonly lastUsed: number;
}

/**
 * Into how many runs of consecutive ids the numbers fall.
 *
 * llama.cpp evaluates a batch once for each such run (it splits a batch that way when sequences do not share one
 * cache): with four sequences 0,1,2,3 evaluate in one go and 0,2,4,6 in four, at little more than half the speed.
 */
export function countRuns(ids: Iterable<number>): number {
  const present = new Set(ids);
  let runs = 0;
  for (const id of present) if (!present.has(id - 1)) runs++;
  return runs;
}

/**
 * The sequence for a new request: of those that keep the running ones in the fewest runs, the one with the longest
 * evaluated prefix; of equals the one with least to lose, the longest unused.
 */
export function chooseSequence(
  free: readonly FreeSequence[],
  running: readonly number[],
): FreeSequence | undefined {
  let best: { sequence: FreeSequence; runs: number } | undefined;
  for (const sequence of free) {
    const runs = countRuns([...running, sequence.id]);
    if (best === undefined || isBetter({ sequence, runs }, best)) best = { sequence, runs };
  }
  return best?.sequence;
}

interface Candidate {
  readonly sequence: FreeSequence;
  readonly runs: number;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.runs !== b.runs) return a.runs < b.runs;
  if (a.sequence.prefix !== b.sequence.prefix) return a.sequence.prefix > b.sequence.prefix;
  return a.sequence.lastUsed < b.sequence.lastUsed;
}
