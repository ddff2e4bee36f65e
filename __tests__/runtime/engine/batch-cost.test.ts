import { costOf, costOfShares, wellSized } from '../../../runtime/src/engine/batch-cost';

it('counts 15 tokens as more than 16, and 3 as more than 4', () => {
  expect(costOf(16)).toBe(16);
  expect(costOf(15)).toBeGreaterThan(costOf(16));
  expect(costOf(3)).toBeGreaterThan(costOf(4));
  expect(costOf(17) - costOf(16)).toBeLessThan(2);
  expect(costOf(128)).toBe(128);
});

it('counts what some sequences have more as an evaluation of its own', () => {
  expect(costOfShares([4, 4, 4, 4])).toBe(costOf(16));
  expect(costOfShares([6, 5, 5])).toBe(costOf(15) + costOf(1));
  expect(costOfShares([20])).toBe(costOf(20));
});

it('takes whole groups, and whole tiles from the first on', () => {
  expect([1, 5, 11, 12, 16, 27, 28, 63, 64, 127, 128, 250].map(wellSized)).toEqual([
    4, 4, 8, 16, 16, 16, 32, 64, 64, 64, 128, 192,
  ]);
});
