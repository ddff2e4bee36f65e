/** Taken once: Jest looks each global up through its sandbox, which for each byte took two thirds of these tests' time. */
const { floor, imul } = Math;

/** What is random is the same in each run: the parameters of Numerical Recipes' generator. */
let state = 1;
export function random(below: number): number {
  state = (imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return floor((state / 2 ** 32) * below);
}

/** Blocks: scales in half precision, 2^-7 to 2^-3 of either sign, then bytes. */
export function blocks(
  count: number,
  { scales, bytes }: { readonly scales: number; readonly bytes: number },
  byte: () => number,
) {
  const all = Buffer.alloc(count * (2 * scales + bytes));
  for (let at = 0; at < all.length;) {
    for (let scale = 0; scale < scales; scale++) {
      at = all.writeUInt16LE(0x2000 + random(0x1000) + (random(3) === 0 ? 0x8000 : 0), at);
    }
    for (let value = 0; value < bytes; value++) at = all.writeUInt8(byte(), at);
  }
  return all;
}

/** To the last bit. @throws Error that names the shape of the product */
export function expectSameBits(got: Float32Array, expected: Float32Array, shape: object): void {
  expect(expected.some((each) => each !== 0 && !Number.isNaN(each))).toBe(true);
  if (!Buffer.from(got.buffer).equals(Buffer.from(expected.buffer)))
    throw new Error(`not the same: ${JSON.stringify(shape)}`);
}
