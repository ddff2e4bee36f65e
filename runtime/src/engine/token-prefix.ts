import type { Token } from 'node-llama-cpp';

/** Fewer tokens than this are read again sooner than they are brought from elsewhere. */
export const WORTH_MOVING_TOKENS = 64;

/** How many tokens both begin with. */
export function commonPrefix(a: readonly Token[], b: readonly Token[]): number {
  const length = Math.min(a.length, b.length);
  let index = 0;
  while (index < length && a[index] === b[index]) index++;
  return index;
}
