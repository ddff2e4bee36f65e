import { expectSameBits, random } from './blocks';
import { runnableKernels } from './native-libraries';
import { F32, oneByOne, ownSgemm, product, Q6_K, Q8_K, type Shape } from './sgemm';

const BLOCK = 256;
/** Bytes of a block of weights: 6 bits each and a scale for each 16; the scale of all, in half precision, follows. */
const WEIGHTS = { quants: (BLOCK * 6) / 8, scales: BLOCK / 16 };
const WEIGHTS_BYTES = WEIGHTS.quants + WEIGHTS.scales + 2;
const VALUES_BYTES = 4 + BLOCK + 2 * (BLOCK / 16);

interface Numbers {
  readonly weight: () => number;
  readonly scale: () => number;
  readonly value: () => number;
}

function weightBlocks(count: number, { weight, scale }: Numbers): Buffer {
  const all = Buffer.alloc(count * WEIGHTS_BYTES);
  for (let at = 0; at < all.length;) {
    for (let each = 0; each < WEIGHTS.quants; each++) at = all.writeUInt8(weight(), at);
    for (let each = 0; each < WEIGHTS.scales; each++) at = all.writeInt8(scale(), at);
    at = all.writeUInt16LE(0x1000 + random(0x1400) + (random(3) === 0 ? 0x8000 : 0), at);
  }
  return all;
}

/** With the sums of each 16 values, as llama.cpp quantises rows. */
function valueBlocks(count: number, { value }: Numbers): Buffer {
  const all = Buffer.alloc(count * VALUES_BYTES);
  for (let start = 0; start < all.length; start += VALUES_BYTES) {
    all.writeFloatLE((random(2000) - 1000) / 50_000, start);
    for (let at = 0; at < BLOCK; at++) {
      const sum = start + 4 + BLOCK + 2 * Math.floor(at / 16);
      const each = value();
      all.writeInt8(each, start + 4 + at);
      all.writeInt16LE(all.readInt16LE(sum) + each, sum);
    }
  }
  return all;
}

const either = (a: number, b: number) => () => (random(2) === 0 ? a : b);
const ANY: Numbers = {
  weight: () => random(256),
  scale: () => random(256) - 128,
  value: () => random(255) - 127,
};
/** Weights of 31 or -32, the largest scales and values: the largest sums of either sign, and those that cancel out. */
const EXTREME: readonly Numbers[] = [
  ...[0x00, 0xff].flatMap((weight) =>
    [-128, 127].map((scale) => ({ weight: () => weight, scale: () => scale, value: () => -127 })),
  ),
  { weight: either(0x00, 0xff), scale: either(-128, 127), value: either(-127, 127) },
];

describe.each(runnableKernels())('%s', (library) => {
  const own = ownSgemm(library);
  // All that llama.cpp has for this type.
  const original = oneByOne('ggml_vec_dot_q6_K_q8_K', {
    values: BLOCK,
    weightsBytes: WEIGHTS_BYTES,
    valuesBytes: VALUES_BYTES,
  });

  function expectSame(shape: Shape, numbers: Numbers): void {
    const weights = weightBlocks(shape.columns * shape.length, numbers);
    const values = valueBlocks(shape.rows * shape.length, numbers);
    const got = product(own, { weights: Q6_K, values: Q8_K }, shape, weights, values);
    expectSameBits(got, original(shape, weights, values), shape);
  }

  it('the same as by llama.cpp, to the last bit, whatever is divided among threads', () => {
    for (const columns of [1, 2, 7, 8, 19])
      for (const rows of [1, 2, 3, 4, 9])
        for (const length of [1, 3, 4, 9])
          for (const threads of [1, 2, 3])
            for (const numbers of [ANY, ...EXTREME]) expectSame({ columns, rows, length, threads }, numbers);
  });

  it('the same with more rows than are multiplied together, and with columns so long that fewer are', () => {
    for (const threads of [1, 2]) {
      expectSame({ columns: 9, rows: 200, length: 2, threads }, ANY);
      expectSame({ columns: 2, rows: 23, length: 100, threads }, ANY);
    }
  });

  it('leaves columns to llama.cpp whose rows would not fit the stack', () => {
    const none = new Uint8Array(0);
    const to = new Float32Array(1);
    expect(own(new Int32Array([0, 1]), 1, 1, 500, none, 500, none, 500, to, 1, Q6_K, Q8_K, F32)).toBe(false);
  });
});
