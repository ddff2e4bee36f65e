import { runnableKernels } from './native-libraries';
import { F16, F32, ownSgemm, Q6_K, Q8_0, Q8_K } from './sgemm';

describe.each(runnableKernels())('%s', (library) => {
  const multiply = ownSgemm(library);
  const bytes = new Uint8Array(8192);
  const call = (rows: number, weights: number, values: number, result = F32, length = 1) =>
    multiply(
      ...[new Int32Array([0, 1]), 8, rows, length, bytes, 1, bytes, 1],
      new Float32Array(256),
      8,
      weights,
      values,
      result,
    );

  it('multiplies the types that it has kernels for', () => {
    expect(call(8, Q8_0, Q8_0)).toBe(true);
    expect(call(8, Q6_K, Q8_K)).toBe(true);
  });

  it('leaves others to the function of who calls, and says that it did nothing where that has none', () => {
    expect(call(8, F16, F16)).toBe(false);
    expect(call(8, Q6_K, F32)).toBe(false);
    expect(call(8, Q8_0, Q8_K)).toBe(false);
    expect(call(8, Q8_0, Q8_0, F16)).toBe(false);
    // Columns longer than any that were seen.
    expect(call(8, Q8_0, Q8_0, F32, 513)).toBe(false);
  });
});
