import { llamaCpu, ownKernels } from './native-libraries';

const SIGNATURE =
  'bool llamafile_sgemm(const int *part, int64_t, int64_t, int64_t, const void *, int64_t, const void *, int64_t, _Inout_ float *, int64_t, int, int, int)';

/** As llama.cpp numbers types. */
export const [F32, F16, Q8_0, Q6_K, Q8_K] = [0, 1, 8, 14, 15];

export type Sgemm = (...args: readonly unknown[]) => boolean;

export const ownSgemm = (library: string) => ownKernels(library).func(SIGNATURE) as Sgemm;
export const llamaSgemm = () => llamaCpu().func(SIGNATURE) as Sgemm;

/** `length` of a row and a column in blocks. */
export type Shape = Record<'columns' | 'rows' | 'length' | 'threads', number>;

/** Longer rows than columns: what is between them has to stay. */
const resultOf = ({ columns, rows }: Shape) => ({
  resultLength: columns + 3,
  to: new Float32Array(rows * (columns + 3)).fill(NaN),
});

/** Of `threads` threads one after the other, each its part. */
export function product(
  multiply: Sgemm,
  types: { readonly weights: number; readonly values: number },
  shape: Shape,
  weights: Uint8Array,
  values: Uint8Array,
): Float32Array {
  const { columns, rows, length, threads } = shape;
  const { to, resultLength } = resultOf(shape);
  for (let thread = 0; thread < threads; thread++) {
    const part = new Int32Array([thread, threads]);
    const sizes = [columns, rows, length, weights, length, values, length, to, resultLength];
    expect(multiply(part, ...sizes, types.weights, types.values, F32)).toBe(true);
  }
  return to;
}

/** Of a block: how many values it has, and how many bytes that takes. */
interface BlockSizes {
  readonly values: number;
  readonly weightsBytes: number;
  readonly valuesBytes: number;
}

/** Products of one row and one column after the other, as llama.cpp makes them where there is no `llamafile_sgemm`. */
export function oneByOne(name: string, { values: blockValues, weightsBytes, valuesBytes }: BlockSizes) {
  const multiply = llamaCpu().func(
    `void ${name}(int, _Inout_ float *, size_t, const void *, size_t, const void *, size_t, int)`,
  );
  return (shape: Shape, weights: Buffer, values: Buffer): Float32Array => {
    const { columns, rows, length } = shape;
    const { to, resultLength } = resultOf(shape);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const result = to.subarray(row * resultLength + column);
        const ofColumn = weights.subarray(column * length * weightsBytes);
        const ofRow = values.subarray(row * length * valuesBytes);
        multiply(length * blockValues, result, 0, ofColumn, 0, ofRow, 0, 1);
      }
    return to;
  };
}
