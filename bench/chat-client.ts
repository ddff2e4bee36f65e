import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';

import { SseParser, TimelineRecorder, type Timeline } from './sse.js';

/** Where a server listens and what it wants to see. */
export interface Endpoint {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A request that is sent to both servers with the same words. */
export interface ChatRequest {
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  readonly maxTokens: number;
  readonly seed: number;
}

/** An answer that is being received. */
export interface Answer {
  /** Resolves once `count` chunks with text are there, or the answer is over. */
  reached(count: number): Promise<void>;
  /** Resolves at the end of the answer; after {@link leave}, with what had arrived by then. */
  readonly done: Promise<Timeline>;
  /** Goes away, as a client that closes its connection does. */
  leave(): void;
}

/** Our service is told to go by it; llama-server takes any. */
export const MODEL_NAME = 'bench';

/** What people use, and what both servers would do if asked for nothing else. */
const TEMPERATURE = 0.7;

/** Longer than any measurement here: a server that hangs ends the run instead of stopping it for ever. */
const TIMEOUT_MS = 180_000;

/** Sends a streamed chat completion and notes when each piece of the answer arrives. */
export function startChat(endpoint: Endpoint, chat: ChatRequest): Answer {
  const body = JSON.stringify({
    model: MODEL_NAME,
    messages: chat.messages,
    max_tokens: chat.maxTokens,
    seed: chat.seed,
    temperature: TEMPERATURE,
    stream: true,
    stream_options: { include_usage: true },
  });
  const controller = new AbortController();
  const waiting: { count: number; resolve: () => void }[] = [];
  const recorder = new TimelineRecorder(performance.now());
  const wake = (reached: number): void => {
    for (const waiter of waiting) if (reached >= waiter.count) waiter.resolve();
  };
  const done = receive(endpoint, body, recorder, controller.signal, wake).finally(() => wake(Infinity));
  return {
    done,
    leave: () => controller.abort(),
    reached: (count) =>
      new Promise((resolve) => {
        waiting.push({ count, resolve });
        wake(recorder.chunks);
      }),
  };
}

async function receive(
  endpoint: Endpoint,
  body: string,
  recorder: TimelineRecorder,
  signal: AbortSignal,
  onChunk: (chunks: number) => void,
): Promise<Timeline> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const request = httpRequest({
    // A connection for each request: llama-server closes its own after a streamed answer.
    agent: false,
    host: '127.0.0.1',
    port: endpoint.port,
    path: '/v1/chat/completions',
    method: 'POST',
    headers: {
      ...endpoint.headers,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    },
    signal: AbortSignal.any([signal, timeout]),
  });
  request.end(body);
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    if (response.statusCode !== 200) {
      const text = (await response.toArray()).join('');
      throw new Error(`expected status 200, got ${response.statusCode}: ${text.slice(0, 500)}`);
    }
    const parser = new SseParser();
    for await (const piece of response) {
      const now = performance.now();
      for (const data of parser.push(piece as Buffer)) recorder.add(data, now);
      onChunk(recorder.chunks);
    }
  } catch (error) {
    if (timeout.aborted) {
      throw new Error(`no end of the answer after ${TIMEOUT_MS / 1000} s: is the machine busy?`, {
        cause: error,
      });
    }
    if (!signal.aborted) throw error;
  }
  return recorder.finish();
}
