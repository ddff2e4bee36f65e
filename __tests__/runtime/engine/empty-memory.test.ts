import { watchForZeroes } from '../../../runtime/src/engine/empty-memory';

const MIB = 2 ** 20;
/** Written to, so that they are in memory; of the size of a context's cache. */
const zeroes = (mib: number) => Buffer.allocUnsafeSlow(mib * MIB).fill(0);

test('zeroes that are new leave memory, and read and write as before; what was there stays', async () => {
  const old = zeroes(256);
  const returnZeroes = watchForZeroes();
  const empty = zeroes(64);
  const used = zeroes(64).fill(7, 20 * MIB, 21 * MIB + 5);

  const bytes = await returnZeroes();
  // Some 125 MiB, with `old` 380; what else this process takes and frees meanwhile is in the figure, too.
  expect(bytes).toBeGreaterThan(80 * MIB);
  expect(bytes).toBeLessThan(256 * MIB);

  expect(empty.equals(Buffer.alloc(empty.length))).toBe(true);
  expect(used.equals(Buffer.alloc(used.length).fill(7, 20 * MIB, 21 * MIB + 5))).toBe(true);
  empty.fill(9);
  expect(empty.equals(Buffer.alloc(empty.length, 9))).toBe(true);
  expect(old.equals(Buffer.alloc(old.length))).toBe(true);
});
