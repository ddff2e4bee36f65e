import { setTimeout as sleep } from 'node:timers/promises';

import { startChat, type Answer } from './chat-client.js';
import type { ChatRequest, Endpoint } from './chat-request.js';
import type { FigureName } from './figures.js';
import { longAnswer, longPrompt, nextTurn, ownPrompt, quotation, sharedPrompt } from './prompts.js';
import type { Timeline } from './sse.js';
import {
  decodeRate,
  jointDecodeRate,
  prefillRate,
  summarize,
  throughput,
  timeToFirstToken,
  totalTime,
  worstGap,
} from './statistics.js';

/** One thing that is done to a server, and the figures it gives. */
export interface Scenario {
  readonly name: FigureName;
  /** `seed` makes the prompts unlike those of any other round, and alike for both servers. */
  measure(endpoint: Endpoint, seed: number): Promise<Partial<Record<FigureName, number>>>;
}

/** Tokens of an answer whose rate is measured. */
const ANSWER_TOKENS = 160;
/** Tokens of each answer where many answer at once. */
const SHORT_ANSWER_TOKENS = 96;
/** More than any server decodes while another's prompt is read. */
const ENDLESS_ANSWER_TOKENS = 2000;
/** More than either server has sequences, so that each loses its own to another in between. */
const CONVERSATIONS = 16;
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
    name: 'quoting',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const timeline = await startChat(endpoint, quotation(SHORT_ANSWER_TOKENS, tried)).done;
        requireLength(timeline, SHORT_ANSWER_TOKENS);
        return { quoting: decodeRate(timeline) };
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
  usersWhoDecode('two-users', 2),
  usersWhoDecode('four-users', 4),
  {
    // Where there are fewer sequences, the last ones wait, and places that become free are filled.
    name: 'eight-users',
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const requests = users(8, (user) => longAnswer(SHORT_ANSWER_TOKENS, tried + user));
        return { 'eight-users': throughput(await atOnce(endpoint, requests, SHORT_ANSWER_TOKENS)) };
      }),
  },
  usersWithPrompts('four-prompts', 4),
  usersWithPrompts('eight-prompts', 8),
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
  {
    name: 'second-turn',
    measure: async (endpoint, seed) => {
      const first = ownPrompt(500, 4, seed);
      await startChat(endpoint, first).done;
      return { 'second-turn': timeToFirstToken(await startChat(endpoint, nextTurn(first)).done) };
    },
  },
  {
    name: 'many-conversations',
    measure: async (endpoint, seed) => {
      const conversations = users(CONVERSATIONS, (user) => ownPrompt(500, 4, seed + user));
      for (const conversation of conversations) await startChat(endpoint, conversation).done;
      const seconds: number[] = [];
      for (const conversation of conversations)
        seconds.push(timeToFirstToken(await startChat(endpoint, nextTurn(conversation)).done));
      return { 'many-conversations': summarize(seconds).median };
    },
  },
  {
    name: 'shared-prompt',
    measure: async (endpoint, seed) => {
      const requests = users(4, (user) => sharedPrompt(500, 8, seed, user));
      return { 'shared-prompt': totalTime(await atOnce(endpoint, requests, 1)) };
    },
  },
];

function users<T>(count: number, make: (user: number) => T): T[] {
  return Array.from({ length: count }, (_, user) => make(user));
}

/** Sends all of them at the same moment. @throws AnswerTooShort when the model itself ended one before `tokens`. */
async function atOnce(
  endpoint: Endpoint,
  requests: readonly ChatRequest[],
  tokens: number,
): Promise<Timeline[]> {
  const answers = requests.map((request) => startChat(endpoint, request));
  const timelines = await Promise.all(answers.map((answer) => answer.done));
  for (const timeline of timelines) requireLength(timeline, tokens);
  return timelines;
}

function usersWhoDecode(name: FigureName, count: number): Scenario {
  return {
    name,
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const requests = users(count, (user) => longAnswer(ANSWER_TOKENS, tried + user));
        return { [name]: jointDecodeRate(await atOnce(endpoint, requests, ANSWER_TOKENS)) };
      }),
  };
}

function usersWithPrompts(name: FigureName, count: number): Scenario {
  return {
    name,
    measure: (endpoint, seed) =>
      untilLongEnough(seed, async (tried) => {
        const requests = users(count, (user) => ownPrompt(250, SHORT_ANSWER_TOKENS / 2, tried + user));
        return { [name]: throughput(await atOnce(endpoint, requests, SHORT_ANSWER_TOKENS / 2)) };
      }),
  };
}

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
