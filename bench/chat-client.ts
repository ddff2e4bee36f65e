import { ChatExchange, type ChatRequest, type Endpoint } from './chat-request.js';
import { SseParser, TimelineRecorder, type Timeline } from './sse.js';

/** An answer that is being received. */
export interface Answer {
  /** Resolves once `count` chunks with text are there, or the answer is over. */
  reached(count: number): Promise<void>;
  /** Resolves at the end of the answer; after {@link leave}, with what had arrived by then. */
  readonly done: Promise<Timeline>;
  /** Goes away, as a client that closes its connection does. */
  leave(): void;
}

/** Longer than any measurement here. */
const TIMEOUT_MS = 180_000;

/** Sends a streamed chat completion and notes when each piece of the answer arrives. */
export function startChat(endpoint: Endpoint, chat: ChatRequest): Answer {
  const waiting: { count: number; resolve: () => void }[] = [];
  const recorder = new TimelineRecorder(performance.now());
  // A connection for each request: llama-server closes its own after a streamed answer.
  const exchange = new ChatExchange(endpoint, chat, {
    isStreamed: true,
    agent: false,
    timeoutMs: TIMEOUT_MS,
  });
  const wake = (reached: number): void => {
    for (const waiter of waiting) if (reached >= waiter.count) waiter.resolve();
  };
  const done = receive(exchange, recorder, wake).finally(() => {
    exchange.end();
    wake(Infinity);
  });
  return {
    done,
    leave: () => exchange.leave(),
    reached: (count) =>
      new Promise((resolve) => {
        waiting.push({ count, resolve });
        wake(recorder.chunks);
      }),
  };
}

async function receive(
  exchange: ChatExchange,
  recorder: TimelineRecorder,
  onChunk: (chunks: number) => void,
): Promise<Timeline> {
  try {
    const response = await exchange.response;
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
    if (!exchange.hasLeft) throw exchange.causeOf(error);
  }
  return recorder.finish();
}
