import type { Token } from '../../../runtime/src/engine/native';
import { PromptLookup } from '../../../runtime/src/engine/prompt-lookup';

const tokens = (...ids: number[]): Token[] => ids as Token[];
const lookupIn = (...ids: number[]): PromptLookup => new PromptLookup(tokens(...ids));

it('guesses what stood behind the same tokens', () => {
  expect(lookupIn(1, 2, 3, 4, 5, 9, 2, 3).draft(3)).toMatchObject({ tokens: [4, 5, 9], matched: 2 });
});

it('knows nothing of a token that stands for the first time', () => {
  expect(lookupIn(1, 2, 3).draft(3)).toBeUndefined();
  expect(lookupIn(1).draft(3)).toBeUndefined();
  expect(lookupIn().draft(3)).toBeUndefined();
});

it('takes the longest match, and the latest of those', () => {
  expect(lookupIn(1, 2, 7, 5, 2, 8, 1, 2).draft(1)).toMatchObject({ tokens: [7], matched: 2 });
  expect(lookupIn(2, 7, 2, 8, 2).draft(1)).toMatchObject({ tokens: [8], matched: 1 });
});

it('goes on repeating what repeats', () => {
  expect(lookupIn(5, 1, 2, 1, 2).draft(5)).toMatchObject({ tokens: [1, 2, 1, 2, 1] });
  expect(lookupIn(3, 3).draft(3)).toMatchObject({ tokens: [3, 3, 3] });
});

it('takes in what the answer gains', () => {
  const lookup = lookupIn(1, 2, 3);
  lookup.add(1 as Token);
  expect(lookup.draft(2)).toMatchObject({ tokens: [2, 3], matched: 1 });
});

it('expects more of a longer match, and of more guesses', () => {
  const expected = (count: number, ...ids: number[]): number => lookupIn(...ids).draft(count)!.expected;
  expect(expected(3, 1, 2, 9, 9, 1, 2)).toBeGreaterThan(expected(3, 8, 2, 9, 9, 7, 2));
  expect(expected(3, 8, 2, 9, 9, 7, 2)).toBeGreaterThan(expected(1, 8, 2, 9, 9, 7, 2));
  expect(expected(1, 8, 2, 9, 9, 7, 2)).toBeCloseTo(0.3);
});

it('learns from what was right, apart for each length of a match', () => {
  const lookup = lookupIn(1, 2, 9, 9, 2);
  const usual = lookup.draft(3)!;
  for (let time = 0; time < 10; time++) lookup.learn(usual, 0);
  expect(lookup.draft(3)!.expected).toBeLessThan(usual.expected / 2);
  for (let time = 0; time < 50; time++) lookup.learn(usual, 3);
  expect(lookup.draft(3)!.expected).toBeGreaterThan(2);
  lookup.add(9 as Token);
  expect(lookup.draft(1)).toMatchObject({ matched: 2, expected: expect.closeTo(0.55) as number });
});

it('finds its way in a long text in no time that would show', () => {
  const long = lookupIn(...Array.from({ length: 32_000 }, (_, at) => at + 1), 1);
  const started = performance.now();
  for (let time = 0; time < 20; time++) long.draft(3);
  // A token of the smallest model takes 7 ms: this is about the order, not about the figure.
  expect((performance.now() - started) / 20).toBeLessThan(20);
});
