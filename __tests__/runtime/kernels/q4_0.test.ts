import { blocks, expectSameBits, random } from './blocks';
import { type Multiply, ours, runnableKernels, theirs } from './native-libraries';

const BLOCK = 32;
interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly length: number;
}

interface Bytes {
  readonly weight: () => number;
  readonly value: () => number;
}

function product(multiply: Multiply, shape: Shape, weights: Uint8Array, values: Uint8Array): Float32Array {
  const { rows, columns, length } = shape;
  // Longer rows than columns: what is between them has to stay.
  const rowLength = columns + 3;
  const to = new Float32Array(rows * rowLength).fill(NaN);
  multiply(length, to, rowLength, weights, values, rows, columns);
  return to;
}

const ANY: Bytes = {
  weight: () => random(256),
  // As values are quantised: -127 to 127.
  value: () => (random(255) - 127) & 0xff,
};
/** The largest sums, of either sign: weights of 7 or -8, values of 127 or -127. */
const EXTREME: readonly Bytes[] = [0x77, 0x88].flatMap((weight) =>
  [0x7f, 0x81].map((value) => ({ weight: () => weight, value: () => value })),
);

describe.each(runnableKernels())('%s', (library) => {
  it.each([
    ['ggml_gemm_q4_0_8x8_q8_0', [4, 8, 12, 16, 20, 36], { scales: 4, bytes: 4 * BLOCK }],
    ['ggml_gemv_q4_0_8x8_q8_0', [1], { scales: 1, bytes: BLOCK }],
  ] as const)('%s: the same as by llama.cpp, to the last bit', (name, rowCounts, valueBlock) => {
    const [own, original] = [ours(library, name), theirs(name)];
    for (const rows of rowCounts)
      for (const columns of [8, 16, 24, 40, 64])
        for (const length of [32, 64, 576, 2048])
          for (const { weight, value } of [ANY, ...EXTREME]) {
            const shape = { rows, columns, length };
            const count = length / BLOCK;
            const weights = blocks((columns / 8) * count, { scales: 8, bytes: (8 * BLOCK) / 2 }, weight);
            const values = blocks((rows / valueBlock.scales) * count, valueBlock, value);
            const expected = product(original, shape, weights, values);
            expectSameBits(product(own, shape, weights, values), expected, shape);
          }
  });
});

it('finds at least one library on a machine with AVX2', () => {
  if (process.platform === 'linux' && process.arch === 'x64') expect(runnableKernels()).toContain('avx2');
});
