import { blocks, expectSameBits, random } from './blocks';
import { runnableKernels } from './native-libraries';
import { llamaSgemm, oneByOne, ownSgemm, product, Q8_0 } from './sgemm';

const BLOCK = { scales: 1, bytes: 32 };
const TYPES = { weights: Q8_0, values: Q8_0 };

/** Any bytes; weights of a file may also be -128, which llama.cpp never makes of values. */
const ANY = { weight: () => random(256), value: () => (random(255) - 127) & 0xff };
const EXTREME = [0x7f, 0x80].flatMap((weight) =>
  [0x7f, 0x81].map((value) => ({ weight: () => weight, value: () => value })),
);

describe.each(runnableKernels())('%s', (library) => {
  const [own, original] = [ownSgemm(library), llamaSgemm()];

  it('the same as by llama.cpp, to the last bit, whatever is divided among threads', () => {
    for (const columns of [1, 15, 16, 48, 131])
      for (const rows of [4, 5, 9, 64])
        // With AVX2 only short columns are multiplied here.
        for (const length of library === 'avx2' ? [1, 2, 4] : [1, 2, 4, 18, 48])
          for (const threads of [1, 2, 3])
            for (const { weight, value } of [ANY, ...EXTREME]) {
              const shape = { columns, rows, length, threads };
              const weights = blocks(columns * length, BLOCK, weight);
              const values = blocks(rows * length, BLOCK, value);
              const expected = product(original, TYPES, shape, weights, values);
              expectSameBits(product(own, TYPES, shape, weights, values), expected, shape);
            }
  });

  // Other processors have nothing faster than llama.cpp's for it.
  if (library === 'avx512-vnni')
    it('the same of one row, for which llama.cpp has another function', () => {
      const one = oneByOne('ggml_vec_dot_q8_0_q8_0', { values: 32, weightsBytes: 34, valuesBytes: 34 });
      for (const columns of [1, 2, 3, 4, 15, 131])
        for (const length of columns < 4 ? [1, 18, 512] : [1, 2, 18])
          for (const threads of [1, 2, 3])
            for (const { weight, value } of [ANY, ...EXTREME]) {
              const shape = { columns, rows: 1, length, threads };
              const weights = blocks(columns * length, BLOCK, weight);
              const values = blocks(length, BLOCK, value);
              expectSameBits(product(own, TYPES, shape, weights, values), one(shape, weights, values), shape);
            }
    });
});
