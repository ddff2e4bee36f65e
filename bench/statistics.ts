import type { Timeline } from './sse.js';

/** Several measurements of one figure. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('nothing was measured');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = at(sorted, middle);
  const median = sorted.length % 2 === 1 ? upper : (at(sorted, middle - 1) + upper) / 2;
  return { median, min: at(sorted, 0), max: at(sorted, -1) };
}

/** The smallest value that a share of all values does not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** Seconds from sending the request to the first text. */
export function timeToFirstToken(timeline: Timeline): number {
  return (first(timeline) - timeline.sentAt) / 1000;
}

/** Tokens per second between the first and the last text of one answer. */
export function decodeRate(timeline: Timeline): number {
  // A chunk may hold several tokens (half characters are held back), so tokens come from the usage.
  return ((timeline.completionTokens - 1) / (last(timeline) - first(timeline))) * 1000;
}

/** Prompt tokens read per second, from sending the request to the first text. */
export function prefillRate(timeline: Timeline): number {
  return (timeline.promptTokens - timeline.cachedTokens) / timeToFirstToken(timeline);
}

/** Tokens per second of all answers together, over the time in which all of them were running. */
export function jointDecodeRate(timelines: readonly Timeline[]): number {
  const from = Math.max(...timelines.map(first));
  const to = Math.min(...timelines.map(last));
  if (!(to > from)) throw new Error('the answers did not run at the same time');
  const tokens = timelines.map((timeline) => {
    const inWindow = timeline.chunkAt.filter((time) => time > from && time <= to).length;
    return (inWindow * timeline.completionTokens) / timeline.chunkAt.length;
  });
  return (tokens.reduce((sum, count) => sum + count, 0) / (to - from)) * 1000;
}

/** Tokens per second of all answers together, from sending the first request to the end of the last answer. */
export function throughput(timelines: readonly Timeline[]): number {
  const tokens = timelines.reduce((sum, timeline) => sum + timeline.completionTokens, 0);
  return tokens / totalTime(timelines);
}

/** Seconds from sending the first request to the end of the last answer. */
export function totalTime(timelines: readonly Timeline[]): number {
  const from = Math.min(...timelines.map(({ sentAt }) => sentAt));
  return (Math.max(...timelines.map(last)) - from) / 1000;
}

/**
 * The longest time between two texts of an answer, in seconds, of those that touch `from`..`to`.
 * @throws when the answer was not running over the whole of it: its gaps would then say nothing.
 */
export function worstGap(chunkAt: readonly number[], from: number, to: number): number {
  if (!(at(chunkAt, 0) <= from && at(chunkAt, -1) >= to)) {
    throw new Error('the answer did not run through the whole of the other prompt');
  }
  let worst = 0;
  for (let i = 1; i < chunkAt.length; i++) {
    const [before, after] = [at(chunkAt, i - 1), at(chunkAt, i)];
    if (after > from && before < to) worst = Math.max(worst, after - before);
  }
  return worst / 1000;
}

const first = (timeline: Timeline): number => at(timeline.chunkAt, 0);
const last = (timeline: Timeline): number => at(timeline.chunkAt, -1);

function at(values: readonly number[], index: number): number {
  const value = values.at(index);
  if (value === undefined) throw new Error('the answer holds no text');
  return value;
}
