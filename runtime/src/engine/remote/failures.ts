/** What a remote service's refusals mean for the client here, and for its operator. */
import type { IncomingHttpHeaders } from 'node:http';

import { EngineError, type EngineErrorCode } from '../engine.js';
import type { RemoteResponse } from './connection.js';

export class RemoteFailure extends EngineError {
  /** For the log: without the service's own words, which may quote the prompt. */
  readonly logText: string;

  constructor(
    code: EngineErrorCode,
    logText: string,
    /** The service's own words, for the client whose request they are about. */
    words?: string,
    details: EngineError['details'] = {},
  ) {
    super(code, words ?? logText, details);
    this.logText = logText;
  }
}

export function upstreamFailed(logText: string, words?: string): RemoteFailure {
  return new RemoteFailure('upstream_failed', logText, words);
}

/** Enough for a sentence about every field of a request. */
const MOST_WORDS = 1000;
/** Errors are a few hundred bytes; a page of HTML is not worth reading on. */
const MOST_BODY_BYTES = 64 * 1024;
/** For a busy service that does not say when to come back. */
const BUSY_SECONDS = 5;

/** The request itself is at fault: the client is told what the service says. */
const REFUSALS = new Set([400, 413, 422]);

/** Reads the body of an answer that is not 200; `details.status` has the status. `token` is taken out of what is passed on. */
export async function failureOf(response: RemoteResponse, token: string): Promise<RemoteFailure> {
  const { status, headers } = response;
  const said = await wordsOf(response);
  const words = said.message?.replaceAll(token, '***');
  const failed = (logText: string) => new RemoteFailure('upstream_failed', logText, undefined, { status });
  if (said.code === 'context_length_exceeded' && words !== undefined) {
    return new RemoteFailure('context_length_exceeded', 'the prompt is too long for it', words, { status });
  }
  if (REFUSALS.has(status)) {
    const details: EngineError['details'] =
      said.param === undefined ? { status } : { status, param: said.param };
    const told = words ?? `status ${status}, without a reason`;
    return new RemoteFailure('upstream_refused', `it refused the request (${status})`, told, details);
  }
  if (status === 401 || status === 403) {
    return failed(`it refused the credentials (${status}); check remote_service.auth`);
  }
  if (status === 404) {
    return failed('it knows no such route or model (404); check remote_service.endpoint and model_name');
  }
  if (status >= 300 && status < 400) {
    // The token belongs to the address that was configured.
    return failed(`it redirects (${status}); set remote_service.endpoint to where it leads`);
  }
  if (status === 429 || status === 503) {
    const why = status === 429 ? 'it is over its rate limit' : 'it is not available now';
    const seconds = Math.max(1, Math.ceil((retryAfterMs(headers) ?? BUSY_SECONDS * 1000) / 1000));
    return new RemoteFailure('upstream_busy', `${why} (${status})`, undefined, { status, seconds });
  }
  return failed(`it answered with status ${status}`);
}

/** Milliseconds from now; undefined where the service names no time. */
export function retryAfterMs(
  { 'retry-after': value }: IncomingHttpHeaders,
  now = Date.now(),
): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

interface Words {
  readonly message?: string | undefined;
  readonly code?: string | undefined;
  readonly param?: string | undefined;
}

/** OpenAI's shape, and the two others that are seen: `{"error": "…"}` and FastAPI's `{"detail": …}`. */
async function wordsOf(response: RemoteResponse): Promise<Words> {
  let value: unknown;
  try {
    value = JSON.parse(await bodyOf(response));
  } catch {
    return {};
  }
  const { error, detail, message } = record(value);
  const inner = record(error);
  return {
    message: oneLine(inner['message'] ?? error ?? message ?? detail),
    code: text(inner['code']),
    param: text(inner['param']),
  };
}

async function bodyOf({ body }: RemoteResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    pieces.push(piece);
    if ((size += piece.length) > MOST_BODY_BYTES) break;
  }
  return Buffer.concat(pieces).toString();
}

function oneLine(value: unknown): string | undefined {
  const given = typeof value === 'string' ? value : value === undefined ? undefined : JSON.stringify(value);
  return given
    ?.replace(/[\s\p{C}]+/gu, ' ')
    .trim()
    .slice(0, MOST_WORDS);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= 256 ? value : undefined;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
