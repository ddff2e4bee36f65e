import { setTimeout as sleep } from 'node:timers/promises';

import { startChat, type Answer, type Endpoint } from './chat-client.js';
import type { FigureName } from './figures.js';
import { longAnswer, longPrompt } from './prompts.js';
import type { Timeline } from './sse.js';
import { decodeRate, jointDecodeRate, prefillRate, timeToFirstToken, worstGap } from './statistics.js';

/** One thing that is done to a server, and the figures it gives. */
export interface Scenario {
  readonly name: 'decode' | 'prefill' | 'four-users' | 'worst-gap';
  /** `seed` makes the prompts unlike those of any other round, and alike for both servers. */
  measure(endpoint: Endpoint, seed: number): Promise<Partial<Record<FigureName, number>>>;
}

/** Tokens of an answer whose rate is measured. */
const ANSWER_TOKENS = 160;
/** More than any server decodes while another's prompt is read. */
const ENDLESS_ANSWER_TOKENS = 2000;
/** Answers that the model itself ended are asked for again, with another seed. */
const ATTEMPTS = 4;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'decode',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const timeline = await startChat(endpoint, longAnswer(ANSWER_TOKENS, tried)).done;
        requireLength(timeline, ANSWER_TOKENS);
        return { decode: decodeRate(timeline) };
      }),
  },
  {
    name: 'prefill',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const timeline = await startChat(endpoint, longPrompt(tried)).done;
        requireLength(timeline, 1);
        return { prefill: prefillRate(timeline) };
      }),
  },
  {
    name: 'four-users',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const answers = [0, 1, 2, 3].map((user) =>
          startChat(endpoint, longAnswer(ANSWER_TOKENS, tried + user)),
        );
        const timelines = await Promise.all(answers.map((answer) => answer.done));
        for (const timeline of timelines) requireLength(timeline, ANSWER_TOKENS);
        return { 'four-users': jointDecodeRate(timelines) };
      }),
  },
  {
    name: 'worst-gap',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const running = startChat(endpoint, longAnswer(ENDLESS_ANSWER_TOKENS, tried));
        try {
          await running.reached(20);
          const newcomer = await startChat(endpoint, longPrompt(tried)).done;
          requireLength(newcomer, 1);
          const readUntil = newcomer.sentAt + timeToFirstToken(newcomer) * 1000;
          const { chunkAt } = await leaveSoon(running);
          if ((chunkAt.at(-1) ?? 0) < readUntil)
            throw new AnswerTooShort('the running answer ended before the other');
          return {
            'worst-gap': worstGap(chunkAt, newcomer.sentAt, readUntil),
            newcomer: timeToFirstToken(newcomer),
          };
        } finally {
          running.leave();
        }
      }),
  },
];

/** Lets the answer run on for a moment, so that the gap which spans the end of the reading is seen whole. */
async function leaveSoon(running: Answer): Promise<Timeline> {
  await Promise.race([sleep(1000), running.done]);
  running.leave();
  return running.done;
}

class AnswerTooShort extends Error {}

function requireLength(timeline: Timeline, tokens: number): void {
  if (timeline.completionTokens < tokens || timeline.chunkAt.length === 0) {
    throw new AnswerTooShort(`${timeline.completionTokens} of ${tokens} tokens (${timeline.finishReason})`);
  }
}

async function untilLongEnough<T>(seed: number, measure: (seed: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await measure(seed + attempt * 1_000_000);
    } catch (error) {
      if (!(error instanceof AnswerTooShort) || attempt === ATTEMPTS) throw error;
    }
  }
}
