import type { Timeline } from '../../bench/sse';
import {
  decodeRate,
  jointDecodeRate,
  percentile,
  prefillRate,
  summarize,
  timeToFirstToken,
  worstGap,
} from '../../bench/statistics';

const timeline = (chunkAt: number[], more: Partial<Timeline> = {}): Timeline => ({
  sentAt: 0,
  chunkAt,
  promptTokens: 100,
  cachedTokens: 0,
  completionTokens: chunkAt.length,
  finishReason: 'length',
  ...more,
});

/** One chunk every `step` milliseconds from `from` to `to`. */
const steady = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

describe('summarize', () => {
  it('takes the middle value of an odd count and the mean of the middle two of an even one', () => {
    expect(summarize([10, 1, 5])).toEqual({ median: 5, min: 1, max: 10 });
    expect(summarize([4, 1, 10, 2])).toEqual({ median: 3, min: 1, max: 10 });
  });

  it('does not sort in place: the order of rounds is kept', () => {
    const values = [3, 1, 2];
    summarize(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('refuses to make a figure of nothing', () => {
    expect(() => summarize([])).toThrow('nothing was measured');
  });
});

describe('rates', () => {
  it('counts the tokens after the first, over the time after the first', () => {
    expect(decodeRate(timeline([1000, 1100, 1200]))).toBeCloseTo(20 / 2);
  });

  it('counts tokens, not chunks, where a chunk holds several', () => {
    expect(decodeRate(timeline([1000, 1100, 1200], { completionTokens: 5 }))).toBeCloseTo(20);
  });

  it('leaves cached tokens out of what was read', () => {
    const read = timeline([2500], { sentAt: 500, promptTokens: 900, cachedTokens: 20 });
    expect(timeToFirstToken(read)).toBe(2);
    expect(prefillRate(read)).toBe(440);
  });

  it('adds up answers over the time in which all of them ran', () => {
    // Alone at first and at the end, when it is faster; 10 a second each from 1000 to 2000.
    const early = timeline([...steady(0, 990, 10), ...steady(1000, 2000, 100)]);
    const late = timeline([...steady(1000, 2000, 100), ...steady(2010, 3000, 10)]);
    expect(jointDecodeRate([early, late])).toBeCloseTo(20);
  });

  it('refuses answers that did not run at the same time', () => {
    expect(() => jointDecodeRate([timeline([0, 100]), timeline([200, 300])])).toThrow('same time');
  });
});

describe('worstGap', () => {
  it('finds the longest silence while the other prompt was read, and none outside of it', () => {
    expect(worstGap([0, 5000, 5100, 5600, 5700, 9000], 5050, 5650)).toBe(0.5);
  });

  it('counts a silence that began before or ended after the reading', () => {
    expect(worstGap([0, 1000, 4000, 4100], 1500, 3000)).toBe(3);
  });

  it('refuses an answer that was over too early', () => {
    expect(() => worstGap([0, 100], 50, 200)).toThrow('did not run through');
  });
});

it('takes percentiles by the nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([0.5, 0.95, 0.99, 1].map((share) => percentile(values, share))).toEqual([50, 95, 99, 100]);
  expect(percentile([7], 0.99)).toBe(7);
  expect(percentile([], 0.5)).toBeUndefined();
});
