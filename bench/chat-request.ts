/** How every client here asks: one chat completion, over HTTP, with a time limit. */
import { once } from 'node:events';
import { request as httpRequest, type Agent, type IncomingMessage } from 'node:http';

/** Where a server listens and what it wants to see. */
export interface Endpoint {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ChatRequest {
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  readonly maxTokens: number;
  readonly seed?: number;
  /** @default what people use, and what servers do if asked for nothing else: 0.7 */
  readonly temperature?: number;
}

/** Our service is told to go by it; llama-server takes any. */
export const MODEL_NAME = 'bench';

export const CHAT_PATH = '/v1/chat/completions';

const TEMPERATURE = 0.7;

export interface ExchangeOptions {
  readonly isStreamed: boolean;
  /** `false`: a connection of its own. */
  readonly agent: Agent | false;
  /** A server that hangs ends the run instead of stopping it for ever. */
  readonly timeoutMs: number;
}

/** One request and its answer. Begins when it is made; `end` it when the answer was read, or was not to be had. */
export class ChatExchange {
  readonly response: Promise<IncomingMessage>;
  readonly #controller = new AbortController();
  // Not AbortSignal.timeout(): nothing holds one that is part of another, and once collected it never fires.
  readonly #timer: NodeJS.Timeout;
  #hasLeft = false;
  #late: Error | undefined;

  constructor(endpoint: Endpoint, chat: ChatRequest, { isStreamed, agent, timeoutMs }: ExchangeOptions) {
    this.#timer = setTimeout(() => {
      this.#late = new Error(`no end of the answer after ${timeoutMs / 1000} s: is the machine busy?`);
      this.#controller.abort();
    }, timeoutMs);
    const body = chatBody(chat, isStreamed);
    const request = httpRequest({
      agent,
      host: '127.0.0.1',
      port: endpoint.port,
      path: CHAT_PATH,
      method: 'POST',
      headers: {
        ...endpoint.headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
      signal: this.#controller.signal,
    });
    request.end(body);
    this.response = once(request, 'response').then(([response]) => response as IncomingMessage);
  }

  /** The client went away of its own accord: what fails from then on is no failure. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Goes away, as a client that closes its connection does. */
  leave(): void {
    this.#hasLeft = true;
    this.#controller.abort();
  }

  /** What to say of an error that the response, or reading it, ended with. */
  causeOf(error: unknown): Error {
    return this.#late ?? (error as Error);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

export function chatBody(
  { messages, maxTokens, seed, temperature = TEMPERATURE }: ChatRequest,
  isStreamed: boolean,
): string {
  return JSON.stringify({
    model: MODEL_NAME,
    messages,
    max_tokens: maxTokens,
    ...(seed === undefined ? {} : { seed }),
    temperature,
    ...(isStreamed ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}
