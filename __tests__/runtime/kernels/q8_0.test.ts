import { blocks, expectSameBits, random } from './blocks';
import { llamaCpu, ownKernels, runnableKernels } from './native-libraries';

const BLOCK = 32;
const SIGNATURE =
  'bool llamafile_sgemm(const int *part, int64_t, int64_t, int64_t, const void *, int64_t, const void *, int64_t, _Inout_ float *, int64_t, int, int, int)';
/** As llama.cpp numbers types. */
const [F32, F16, Q8_0] = [0, 1, 8];

/** Of `threads` threads one after the other, each its part. */
function product(
  multiply: (...args: readonly unknown[]) => boolean,
  { columns, rows, length, threads }: Record<'columns' | 'rows' | 'length' | 'threads', number>,
  weights: Uint8Array,
  values: Uint8Array,
): Float32Array {
  const resultLength = columns + 3;
  const to = new Float32Array(rows * resultLength).fill(NaN);
  const count = length / BLOCK;
  for (let thread = 0; thread < threads; thread++) {
    const part = new Int32Array([thread, threads]);
    const sizes = [columns, rows, count, weights, count, values, count, to, resultLength];
    expect(multiply(part, ...sizes, Q8_0, Q8_0, F32)).toBe(true);
  }
  return to;
}

/** Any bytes; weights of a file may also be -128, which llama.cpp never makes of values. */
const ANY = { weight: () => random(256), value: () => (random(255) - 127) & 0xff };
const EXTREME = [0x7f, 0x80].flatMap((weight) =>
  [0x7f, 0x81].map((value) => ({ weight: () => weight, value: () => value })),
);

describe.each(runnableKernels())('%s', (library) => {
  const own = ownKernels(library).func(SIGNATURE) as (...args: readonly unknown[]) => boolean;
  const original = llamaCpu().func(SIGNATURE) as (...args: readonly unknown[]) => boolean;

  it('the same as by llama.cpp, to the last bit, whatever is divided among threads', () => {
    for (const columns of [1, 15, 16, 48, 131])
      for (const rows of [4, 5, 9, 64])
        // With AVX2 only short columns are multiplied here.
        for (const length of library === 'avx2' ? [32, 64, 128] : [32, 64, 128, 576, 1536])
          for (const threads of [1, 2, 3])
            for (const { weight, value } of [ANY, ...EXTREME]) {
              const shape = { columns, rows, length, threads };
              const block = { scales: 1, bytes: BLOCK };
              const weights = blocks((columns * length) / BLOCK, block, weight);
              const values = blocks((rows * length) / BLOCK, block, value);
              const expected = product(original, shape, weights, values);
              expectSameBits(product(own, shape, weights, values), expected, shape);
            }
  });

  it('leaves other types to the function of who calls, and says that it did nothing where that has none', () => {
    const bytes = new Uint8Array(4096);
    const call = (rows: number, type: number) =>
      own(new Int32Array([0, 1]), 8, rows, 1, bytes, 1, bytes, 1, new Float32Array(256), 8, type, Q8_0, F32);
    expect(call(8, Q8_0)).toBe(true);
    expect(call(1, Q8_0)).toBe(false);
    expect(call(8, F16)).toBe(false);
  });
});
