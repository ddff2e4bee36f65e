import { halfTable, toHalf } from '../../../../runtime/src/engine/repack/half';

const halves = halfTable();

it('knows the values that the format names', () => {
  expect([0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x3555].map((half) => halves[half])).toEqual([
    1,
    -2,
    65504,
    2 ** -24,
    2 ** -14,
    0.333251953125,
  ]);
});

it('makes of each finite half that is not negative the same half again', () => {
  const changed = Array.from({ length: 0x7c00 }, (_, half) => half).filter(
    (half) => toHalf(halves[half]!) !== half,
  );
  expect(changed).toEqual([]);
});

it('takes the nearest half, the even one of two', () => {
  const half = (value: number) => halves[toHalf(value)];
  expect(half(1 + 2 ** -11)).toBe(1);
  expect(half(1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
  expect(half(1 + 2 ** -11 + 2 ** -20)).toBe(1 + 2 ** -10);
  expect(half(0.1)).toBeCloseTo(0.1, 4);
  expect(half(2 ** -26)).toBe(0);
});
