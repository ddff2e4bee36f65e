/** Sends requests to a `remote_service` with its credentials, and says in a person's words what went wrong. */
import { decodeJwt } from 'jose';

import type { BotConfig } from '../../config/schema.js';
import { withRetries } from './attempts.js';
import { NoAnswer, RemoteConnection, type RemoteResponse } from './connection.js';
import { failureOf, upstreamFailed } from './failures.js';

export interface RemoteRequest {
  /** The request's own, here and there. */
  readonly id: string;
  readonly address: string;
  /** Sent as JSON. */
  readonly body: object;
  readonly accept: 'text/event-stream' | 'application/json';
}

export class RemoteClient {
  readonly #service: NonNullable<BotConfig['remote_service']>;
  readonly #log: (level: 'WRN', text: string) => void;
  readonly #connection: RemoteConnection;

  constructor(service: NonNullable<BotConfig['remote_service']>, log: (level: 'WRN', text: string) => void) {
    this.#service = service;
    this.#log = log;
    const { connect_seconds: connect, first_byte_seconds: firstByte, idle_seconds: idle } = service.timeouts;
    this.#connection = new RemoteConnection({
      connectMs: connect * 1000,
      firstByteMs: firstByte * 1000,
      idleMs: idle * 1000,
    });
  }

  /** Resolves with an answer of status 200 and the type that was asked for. @throws RemoteFailure, or the signal's reason */
  async post({ id, address, body, accept }: RemoteRequest, signal: AbortSignal): Promise<RemoteResponse> {
    const text = JSON.stringify(body);
    const headers = {
      'Content-Type': 'application/json',
      Accept: accept,
      'X-Request-Id': id,
      ...this.#credentials(),
    };
    const response = await withRetries(() => this.#connection.post(address, headers, text, signal), {
      retries: this.#service.retries,
      signal,
      onRetry: (why, waitMs) =>
        this.#log('WRN', `req=${id} remote service: ${why}; trying again in ${Math.round(waitMs)} ms`),
    }).catch((error: Error) => {
      if (!(error instanceof NoAnswer)) throw error;
      throw upstreamFailed(
        `it did not answer (${error.message}); check remote_service.endpoint and the network`,
      );
    });
    if (response.status !== 200) {
      const failure = await failureOf(response, this.#service.auth.token);
      response.discard();
      throw failure;
    }
    if (response.headers['content-type']?.toLowerCase().startsWith(accept) !== true) {
      response.discard();
      throw upstreamFailed(
        accept === 'text/event-stream'
          ? 'it does not stream; remote_service.endpoint should be a chat completions route'
          : 'it answered with something that is not JSON',
      );
    }
    return response;
  }

  /** Ends what is under way. */
  close(): void {
    this.#connection.close();
  }

  #credentials(): Record<string, string> {
    const { type, token } = this.#service.auth;
    if (type === 'jwt') requireValidJwt(token);
    return type === 'api_key' ? { 'X-API-Key': token } : { Authorization: `Bearer ${token}` };
  }
}

/** An expired one is told by name, and where a new one belongs; the remote service would say 401. */
function requireValidJwt(token: string): void {
  let expires: number | undefined;
  try {
    expires = decodeJwt(token).exp;
  } catch {
    throw upstreamFailed('remote_service.auth.token is not a JWT; correct it, or set auth.type to bearer');
  }
  if (expires !== undefined && expires * 1000 <= Date.now()) {
    const when = new Date(expires * 1000).toISOString();
    throw upstreamFailed(`remote_service.auth.token expired at ${when}; put a new one in its place`);
  }
}
