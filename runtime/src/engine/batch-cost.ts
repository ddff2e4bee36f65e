/**
 * Which sizes of a batch llama.cpp evaluates well on a processor. Source: ggml-cpu/repack.cpp, arch/x86/repack.cpp and
 * ggml_compute_forward_flash_attn_ext_f16 in ggml-cpu/ops.cpp of llama.cpp.
 */

/**
 * Weights that it has repacked (Q4_0, Q4_K, IQ4_NL and others) are multiplied by 16 tokens at once, what is left of them
 * by 4 at once, and the rest by one: 15 tokens take longer than 16.
 */
export const GROUP = 16;
/** In sixteenths of a group's time, measured on two cores with AVX-512: a 1B model in Q4_0 4.9 and 1.9, SmolLM2 4.8 and 1.6. */
const FOUR = 5;
const ONE = 1.8;
/**
 * From so many tokens of one sequence on, attention is a product of matrices. Of fewer, a prompt is read a fifth (1B) to a
 * third (SmolLM2) slower, once some hundred tokens are there.
 */
export const ATTENTION_TILE = 64;

/**
 * About so many tokens of one sequence, of which each costs what it must: whole tiles, else whole groups, where a quarter of
 * a group may be missing, else fours.
 */
export function wellSized(tokens: number): number {
  if (tokens >= ATTENTION_TILE) return tokens - (tokens % ATTENTION_TILE);
  const groups = Math.floor((tokens + GROUP / 4) / GROUP) * GROUP;
  return groups > 0 ? groups : Math.max(4, tokens - (tokens % 4));
}

/** What a batch of so many tokens costs, in tokens of full groups. */
export function costOf(tokens: number): number {
  const rest = tokens % GROUP;
  return tokens - rest + Math.floor(rest / 4) * FOUR + (rest % 4) * ONE;
}

/** The same for shares of several sequences: llama.cpp evaluates equal ones together, and what is more of some after that. */
export function costOfShares(shares: Iterable<number>): number {
  let cost = 0;
  let evaluated = 0;
  const ascending = [...shares].sort((a, b) => a - b);
  ascending.forEach((share, index) => {
    cost += costOf((share - evaluated) * (ascending.length - index));
    evaluated = share;
  });
  return cost;
}
