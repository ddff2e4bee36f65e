/** Tries again what is safe to try again: nothing of an answer has come, and the request did no work. */
import { setTimeout as sleep } from 'node:timers/promises';

import { NoAnswer, type RemoteResponse } from './connection.js';
import { retryAfterMs } from './failures.js';

export interface AttemptOptions {
  /** Further attempts after the first. */
  readonly retries: number;
  /** Ends waiting: the request's deadline, or a client that left. */
  readonly signal: AbortSignal;
  /** Before each further attempt. */
  onRetry(why: string, waitMs: number): void;
}

/** Before the second attempt; doubles with each. */
const FIRST_WAIT_MS = 250;
/** Whoever asks for more than this is better told to the client, who may have somewhere else to go. */
const LONGEST_WAIT_MS = 10_000;

/** Resolves with the last answer, whatever its status. @throws NoAnswer, or the signal's reason */
export async function withRetries(
  post: () => Promise<RemoteResponse>,
  { retries, signal, onRetry }: AttemptOptions,
): Promise<RemoteResponse> {
  for (let attempt = 0; ; attempt++) {
    // Up to half of it by chance, so that many who were refused together do not come back together.
    const backOffMs = FIRST_WAIT_MS * 2 ** attempt * (0.5 + Math.random() / 2);
    let waitMs: number;
    let why: string;
    try {
      const response = await post();
      const asked = busyFor(response);
      if (asked === undefined || attempt >= retries || asked > LONGEST_WAIT_MS) return response;
      response.discard();
      why = `status ${response.status}`;
      waitMs = Math.max(asked, backOffMs);
    } catch (error) {
      if (!(error instanceof NoAnswer) || !error.isUntouched || attempt >= retries) throw error;
      why = error.message;
      waitMs = backOffMs;
    }
    onRetry(why, waitMs);
    await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Milliseconds to wait at least; undefined for an answer that another attempt would not change. */
function busyFor({ status, headers }: RemoteResponse): number | undefined {
  if (status === 502 || status === 503) return retryAfterMs(headers) ?? 0;
  // Without a time, another attempt would only lengthen what the limit counts.
  return status === 429 ? retryAfterMs(headers) : undefined;
}
