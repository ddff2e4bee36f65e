/**
 * The arithmetic behind repacking. A block of 32 weights in Q4_1 is `d * q + m` with q from 0 to 15; in Q4_0 it is
 * `d * (q - 8)`. So Q4_1 is Q4_0 with the same d and q, and `m + 8 * d` added to each weight of the block; multiplied
 * with a vector, that is `m + 8 * d` times the sum of the vector's 32 numbers:
 *
 *     W x  =  W' x  +  C (S x)      W' in Q4_0, C the offsets (a column for each block), S sums blocks of 32
 *
 * which is what llama.cpp calculates for a low-rank adapter with A = S and B = C.
 * Formats: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h
 */
import { halfTable, toHalf } from './half.js';

export const BLOCK_WEIGHTS = 32;
/** A block's 16-bit words: two scales and eight words of weights; in Q4_0 one scale. */
const Q4_1_WORDS = 10;
const Q4_0_WORDS = 9;
export const Q4_1_BYTES = 2 * Q4_1_WORDS;
export const Q4_0_BYTES = 2 * Q4_0_WORDS;
/** Q8_0: a scale as a half and 32 numbers from -127 to 127. */
export const Q8_0_BYTES = 34;
const ONE_AS_HALF = 0x3c00;

/** Columns of C, rows of S: one for each block of a row, and zeros up to whole blocks of Q8_0. */
export function adapterRank(columns: number): number {
  return BLOCK_WEIGHTS * Math.ceil(columns / BLOCK_WEIGHTS / BLOCK_WEIGHTS);
}

/** S in Q8_0, `adapterRank(columns)` rows of `columns` numbers. Exact: all of them are 0 or 1. */
export function blockSums(columns: number): Uint8Array {
  const blocks = columns / BLOCK_WEIGHTS;
  const matrix = new Uint8Array(adapterRank(columns) * blocks * Q8_0_BYTES);
  const view = new DataView(matrix.buffer);
  for (let block = 0; block < blocks; block++) {
    const at = (block * blocks + block) * Q8_0_BYTES;
    view.setUint16(at, ONE_AS_HALF, true);
    matrix.fill(1, at + 2, at + Q8_0_BYTES);
  }
  return matrix;
}

/** Splits rows of Q4_1. Its results are good until the next: new memory for each would be a third of the time. */
export class Q41Splitter {
  readonly #half = halfTable();
  #weights = new Uint16Array();
  #offsets = new Uint8Array();
  #ofRow = new Float32Array();

  /**
   * @param source whole rows
   * @returns the same rows of W' in Q4_0, and of C in Q8_0: an offset is off by at most a 254th of the largest of its
   * row's block. llama.cpp rounds the vectors to 8 bits too, for both types.
   */
  split(source: Uint8Array, columns: number): { readonly weights: Uint8Array; readonly offsets: Uint8Array } {
    const blocks = columns / BLOCK_WEIGHTS;
    const rows = source.length / (blocks * Q4_1_BYTES);
    const from = new Uint16Array(source.buffer, source.byteOffset, source.length / 2);
    const rank = adapterRank(columns);
    const rowOfOffsets = (rank * Q8_0_BYTES) / BLOCK_WEIGHTS;
    if (this.#weights.length < rows * blocks * Q4_0_WORDS)
      this.#weights = new Uint16Array(rows * blocks * Q4_0_WORDS);
    if (this.#offsets.length < rows * rowOfOffsets) this.#offsets = new Uint8Array(rows * rowOfOffsets);
    if (this.#ofRow.length !== rank) this.#ofRow = new Float32Array(rank);
    else this.#ofRow.fill(0);
    const weights = this.#weights;
    const ofRow = this.#ofRow;
    let read = 0;
    let write = 0;
    for (let row = 0; row < rows; row++) {
      for (let block = 0; block < blocks; block++, read += Q4_1_WORDS, write += Q4_0_WORDS) {
        const scale = from[read] as number;
        ofRow[block] = (this.#half[from[read + 1] as number] as number) + 8 * (this.#half[scale] as number);
        weights[write] = scale;
        for (let word = 1; word < Q4_0_WORDS; word++) weights[write + word] = from[read + word + 1] as number;
      }
      this.#quantize(ofRow, row * rowOfOffsets);
    }
    return {
      weights: new Uint8Array(weights.buffer, 0, 2 * write),
      offsets: this.#offsets.subarray(0, rows * rowOfOffsets),
    };
  }

  /** Into the offsets, in Q8_0. */
  #quantize(numbers: Float32Array, start: number): void {
    const blocks = this.#offsets;
    for (let first = 0, at = start; first < numbers.length; first += BLOCK_WEIGHTS, at += Q8_0_BYTES) {
      let most = 0;
      for (let i = first; i < first + BLOCK_WEIGHTS; i++)
        most = Math.max(most, Math.abs(numbers[i] as number));
      const half = toHalf(most / 127);
      const scale = this.#half[half] as number;
      blocks[at] = half & 255;
      blocks[at + 1] = half >> 8;
      for (let i = 0; i < BLOCK_WEIGHTS; i++) {
        const steps = scale === 0 ? 0 : Math.round((numbers[first + i] as number) / scale);
        blocks[at + 2 + i] = Math.max(-127, Math.min(127, steps));
      }
    }
  }
}
