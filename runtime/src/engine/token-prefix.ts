import type { Token } from 'node-llama-cpp';

/** Fewer tokens than this are read again sooner than they are brought from elsewhere. */
export const WORTH_MOVING_TOKENS = 64;

/** Tokens that a model has evaluated, in their order. */
export interface EvaluatedTokens {
  readonly tokens: readonly Token[];
  /** The fewest of the first tokens that can be kept without the rest: all, where the model cannot go back. */
  readonly shortestPrefix: number;
}

/** How many of the first tokens of `wanted` can be kept of what was evaluated: none where the model cannot go back to them. */
export function usablePrefix({ tokens, shortestPrefix }: EvaluatedTokens, wanted: readonly Token[]): number {
  const prefix = commonPrefix(tokens, wanted);
  return prefix < shortestPrefix ? 0 : prefix;
}

/** How many tokens both begin with. */
export function commonPrefix(a: readonly Token[], b: readonly Token[]): number {
  const length = Math.min(a.length, b.length);
  let index = 0;
  while (index < length && a[index] === b[index]) index++;
  return index;
}
