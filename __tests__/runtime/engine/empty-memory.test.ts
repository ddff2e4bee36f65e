import { watchForZeroes } from '../../../runtime/src/engine/empty-memory';

const MIB = 2 ** 20;
/** Written to, so that it is in memory; of the size of a context's cache. */
const zeroes = () => Buffer.allocUnsafeSlow(64 * MIB).fill(0);

test('zeroes that are new leave memory, and read and write as before', async () => {
  const returnZeroes = watchForZeroes();
  const empty = zeroes();
  const used = zeroes().fill(7, 20 * MIB, 21 * MIB + 5);
  const bytes = await returnZeroes();
  expect(bytes).toBeGreaterThan(100 * MIB);
  expect(bytes).toBeLessThan(127 * MIB);

  expect(empty.equals(Buffer.alloc(empty.length))).toBe(true);
  expect(used.equals(Buffer.alloc(used.length).fill(7, 20 * MIB, 21 * MIB + 5))).toBe(true);
  empty.fill(9);
  expect(empty.equals(Buffer.alloc(empty.length, 9))).toBe(true);
});

test('what was there before stays as it is', async () => {
  const old = zeroes();
  const returnZeroes = watchForZeroes();
  expect(await returnZeroes()).toBeLessThan(old.length / 4);
});
