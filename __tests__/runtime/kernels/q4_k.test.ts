import { expectSameBits, random } from './blocks';
import { type Multiply, ours, runnableKernels, theirs } from './native-libraries';

const BLOCK = 256;
/** Scales in half precision of eight columns, scales and minima of sub-blocks, weights. */
const WEIGHTS = { halves: 16, bytes: 96 + (8 * BLOCK) / 2 };

function weightBlocks(count: number, byte: () => number): Buffer {
  const all = Buffer.alloc(count * (2 * WEIGHTS.halves + WEIGHTS.bytes));
  for (let at = 0; at < all.length;) {
    for (let half = 0; half < WEIGHTS.halves; half++) at = all.writeUInt16LE(0x1800 + random(0x1000), at);
    for (let each = 0; each < WEIGHTS.bytes; each++) at = all.writeUInt8(byte(), at);
  }
  return all;
}

/** Blocks of so many rows: scales, values, and sums of each 16 values, which here are any that can be. */
function valueBlocks(count: number, rows: number, byte: () => number): Buffer {
  const all = Buffer.alloc(count * rows * (4 + BLOCK + BLOCK / 8));
  for (let at = 0; at < all.length;) {
    for (let row = 0; row < rows; row++) at = all.writeFloatLE((random(2000) - 1000) / 50_000, at);
    for (let value = 0; value < rows * BLOCK; value++) at = all.writeUInt8(byte(), at);
    for (let sum = 0; sum < (rows * BLOCK) / 16; sum++) at = all.writeInt16LE(random(4065) - 2032, at);
  }
  return all;
}

const ANY = { weight: () => random(256), value: () => (random(255) - 127) & 0xff };
/** Scales of 63, weights of 15, values of 127 or -127. */
const EXTREME = [0x7f, 0x81].map((value) => ({ weight: () => 0xff, value: () => value }));

describe.each(runnableKernels())('%s', (library) => {
  it.each([
    ['ggml_gemm_q4_K_8x8_q8_K', [4, 8, 12, 16, 20, 36], 4],
    ['ggml_gemv_q4_K_8x8_q8_K', [1], 1],
  ] as const)('%s: the same as by llama.cpp, to the last bit', (name, rowCounts, group) => {
    const [own, original] = [ours(library, name), theirs(name)];
    for (const rows of rowCounts)
      for (const columns of [8, 16, 24, 40])
        for (const length of [256, 512, 2048])
          for (const { weight, value } of [ANY, ...EXTREME]) {
            const count = length / BLOCK;
            const weights = weightBlocks((columns / 8) * count, weight);
            const values = valueBlocks((rows / group) * count, group, value);
            const product = (multiply: Multiply) => {
              const to = new Float32Array(rows * (columns + 3)).fill(NaN);
              multiply(length, to, columns + 3, weights, values, rows, columns);
              return to;
            };
            const expected = product(original);
            expectSameBits(product(own), expected, { rows, columns, length });
          }
  });
});
