/** Clients that each ask, wait for the answer, and ask again, for as long as the load lasts. */
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { ChatExchange, type ChatRequest, type Endpoint } from './chat-request.js';
import { random, words } from './prompts.js';
import { SseParser, TimelineRecorder } from './sse.js';

/** What became of one request. Times are milliseconds. */
export interface Visit {
  /** The answer's status; `left`: the client went away first; `broken`: no whole answer came, see `reason`. */
  readonly outcome: number | 'left' | 'broken';
  readonly reason?: string;
  readonly totalMs: number;
  /** To the first text; streamed answers only. */
  readonly firstTextMs?: number;
  readonly tokens: number;
}

/** One request as a client means to make it. */
export interface Plan {
  readonly promptWords: number;
  readonly maxTokens: number;
  readonly isStreamed: boolean;
  /** Goes away after so many milliseconds: in the queue, in the reading of the prompt or in the answer, as it falls. */
  readonly leaveAfterMs: number | undefined;
  readonly seed: number;
}

/** One in so many clients goes away early. */
const LEAVING = 0.1;
const LONGEST_STAY_MS = 3000;
const ANSWER_TOKENS = { least: 4, most: 48 };
const PROMPT_WORDS = { least: 5, most: 200 };
/** A refused client comes back after a part of a second to a whole one: sooner than Retry-After says, to keep up the load. */
const PAUSE_MS = { least: 300, most: 1000 };
/** An answer takes seconds; a service that hangs ends the run. */
const TIMEOUT_MS = 120_000;

export function planned(next: () => number): Plan {
  const between = ({ least, most }: { least: number; most: number }) =>
    least + Math.floor(next() * (most - least + 1));
  return {
    promptWords: between(PROMPT_WORDS),
    maxTokens: between(ANSWER_TOKENS),
    isStreamed: next() < 0.5,
    leaveAfterMs: next() < LEAVING ? next() * LONGEST_STAY_MS : undefined,
    seed: Math.floor(next() * 2 ** 31),
  };
}

/** Runs one client until the signal; the request that is under way then goes to its end. */
export async function runClient(
  endpoint: Endpoint,
  number: number,
  onVisit: (visit: Visit) => void,
  signal: AbortSignal,
): Promise<void> {
  const next = random(number);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  while (!signal.aborted) {
    const visit = await ask(endpoint, planned(next), agent);
    onVisit(visit);
    // A service that is gone is not asked ten thousand times a second whether it is.
    if (visit.outcome === 429 || visit.outcome === 'broken') {
      await sleep(PAUSE_MS.least + next() * (PAUSE_MS.most - PAUSE_MS.least));
    }
  }
  agent.destroy();
}

/** Never rejects: what goes wrong is an outcome. */
export async function ask(endpoint: Endpoint, plan: Plan, agent: Agent): Promise<Visit> {
  const sentAt = performance.now();
  const recorder = new TimelineRecorder(sentAt);
  const chat: ChatRequest = {
    messages: [{ role: 'user', content: `Write about this: ${words(plan.promptWords, plan.seed)}` }],
    maxTokens: plan.maxTokens,
    seed: plan.seed,
  };
  const exchange = new ChatExchange(endpoint, chat, {
    isStreamed: plan.isStreamed,
    agent,
    timeoutMs: TIMEOUT_MS,
  });
  const leaving =
    plan.leaveAfterMs === undefined ? undefined : setTimeout(() => exchange.leave(), plan.leaveAfterMs);
  const ended = (outcome: Visit['outcome'], tokens = 0, reason?: string): Visit => {
    const first = recorder.finish().chunkAt[0];
    return {
      outcome,
      totalMs: performance.now() - sentAt,
      tokens,
      ...(first === undefined ? {} : { firstTextMs: first - sentAt }),
      ...(reason === undefined ? {} : { reason }),
    };
  };
  try {
    const response = await exchange.response;
    if (response.statusCode === 200 && plan.isStreamed) {
      const parser = new SseParser();
      for await (const piece of response) {
        for (const data of parser.push(piece as Buffer)) recorder.add(data, performance.now());
      }
      const { finishReason, completionTokens } = recorder.finish();
      if (finishReason === undefined) return ended('broken', 0, 'the stream ended without a finish_reason');
      return ended(200, completionTokens);
    }
    const text = (await response.toArray()).join('');
    if (response.statusCode !== 200) return ended(response.statusCode ?? 0, 0, text.slice(0, 300));
    const { usage } = JSON.parse(text) as { usage: { completion_tokens: number } };
    return ended(200, usage.completion_tokens);
  } catch (error) {
    return exchange.hasLeft ? ended('left') : ended('broken', 0, exchange.causeOf(error).message);
  } finally {
    clearTimeout(leaving);
    exchange.end();
  }
}
