/** Posts to the remote service over connections that are kept open, with a time limit for each phase of an answer. */
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface RemoteTimeouts {
  /** To a connection, TLS included. Milliseconds, as all of these. */
  readonly connectMs: number;
  /** From the request to the first byte of the answer's body. */
  readonly firstByteMs: number;
  /** Between two pieces of the body. Time in which nobody asks for the next does not count. */
  readonly idleMs: number;
}

export interface RemoteResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Leaving the loop early closes the connection. @throws NoAnswer */
  readonly body: AsyncIterable<Uint8Array>;
  /** What follows is of no interest: it may take this long, so that the connection can be used again. */
  hurry(ms: number): void;
  /** Closes the connection. */
  discard(): void;
}

/** No answer came, or not all of it. */
export class NoAnswer extends Error {
  constructor(
    message: string,
    /** The service cannot have begun to work on the request: it is safe to send it again. */
    readonly isUntouched: boolean,
  ) {
    super(message);
    this.name = 'NoAnswer';
  }
}

/** The connection was never made. */
const NEVER_CONNECTED = new Set(['ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']);

/** A way to the service and back. Who closes later than that may have begun to work. */
const STALE_MS = 1000;

export class RemoteConnection {
  readonly #timeouts: RemoteTimeouts;
  readonly #plain = new HttpAgent({ keepAlive: true });
  readonly #tls = new HttpsAgent({ keepAlive: true });

  constructor(timeouts: RemoteTimeouts) {
    this.#timeouts = timeouts;
  }

  /** Resolves with the status; redirects are answers like others. @throws NoAnswer, or the signal's reason */
  async post(
    address: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<RemoteResponse> {
    signal.throwIfAborted();
    const sentAt = performance.now();
    const url = new URL(address);
    const isTls = url.protocol === 'https:';
    const request = (isTls ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      agent: isTls ? this.#tls : this.#plain,
      headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
      signal,
    });
    const patience = new Patience(request);
    const { connectMs, firstByteMs } = this.#timeouts;
    patience.start(connectMs, `no connection within ${connectMs / 1000} s`, true);
    request.once('socket', (socket) => {
      const connected = () =>
        patience.start(firstByteMs, `nothing came within ${firstByteMs / 1000} s`, false);
      if (request.reusedSocket) connected();
      else socket.once(isTls ? 'secureConnect' : 'connect', connected);
    });
    request.end(body);
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request.once('response', resolve);
        // Stays: what is torn down later on reports itself here too.
        request.on('error', reject);
      });
      return this.#responseOf(request, response, patience, signal);
    } catch (error) {
      patience.end();
      signal.throwIfAborted();
      throw (
        patience.exhausted ??
        noAnswer(error as NodeJS.ErrnoException, request.reusedSocket ? performance.now() - sentAt : Infinity)
      );
    }
  }

  /** Closes what is open. */
  close(): void {
    this.#plain.destroy();
    this.#tls.destroy();
  }

  #responseOf(
    request: ClientRequest,
    response: IncomingMessage,
    patience: Patience,
    signal: AbortSignal,
  ): RemoteResponse {
    let { idleMs } = this.#timeouts;
    let isFirst = true;
    const discard = () => {
      patience.end();
      // One that is complete goes back to the agent; reading the rest of another would take as long as it takes.
      if (response.complete) response.resume();
      else request.destroy();
    };
    async function* body(): AsyncGenerator<Uint8Array, void> {
      const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
      try {
        for (;;) {
          // The limit for the first byte has been running since the request.
          if (!isFirst) patience.start(idleMs, `it fell silent for ${idleMs / 1000} s`, false);
          const next = await pieces.next();
          patience.end();
          // A body that only the end of the connection ends has ended, as far as HTTP can say, when it is torn down here.
          if (patience.exhausted !== undefined) throw patience.exhausted;
          isFirst = false;
          if (next.done === true) return;
          yield next.value;
        }
      } catch (error) {
        signal.throwIfAborted();
        throw patience.exhausted ?? noAnswer(error as NodeJS.ErrnoException);
      } finally {
        discard();
      }
    }
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: body(),
      hurry: (ms) => {
        idleMs = Math.min(idleMs, ms);
      },
      discard,
    };
  }
}

/** One time limit at a time, on one request. */
class Patience {
  readonly #request: ClientRequest;
  #timer: NodeJS.Timeout | undefined;
  /** Set once a limit was passed: why the request was torn down. */
  exhausted: NoAnswer | undefined;

  constructor(request: ClientRequest) {
    this.#request = request;
  }

  start(ms: number, message: string, isUntouched: boolean): void {
    this.end();
    this.#timer = setTimeout(() => {
      this.exhausted = new NoAnswer(message, isUntouched);
      this.#request.destroy(this.exhausted);
    }, ms);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** `sentForMs`: for how long the request has been on its way over a kept connection; Infinity for a new one. */
function noAnswer({ code, message }: NodeJS.ErrnoException, sentForMs = Infinity): NoAnswer {
  // The service had closed the connection, and the news of it crossed the request.
  const wasStale = (code === 'ECONNRESET' || code === 'EPIPE') && sentForMs < STALE_MS;
  return new NoAnswer(code ?? message, wasStale || NEVER_CONNECTED.has(code ?? ''));
}
