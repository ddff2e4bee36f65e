/** HTTP as a download needs it: redirects that do not carry the token away, time-outs, attempts, errors with remedies. */
import { setTimeout as sleep } from 'node:timers/promises';

import { counted } from '../errors/counted.js';
import { ModelError, systemCode } from './errors.js';
import { isLoopback } from './source.js';

const MAX_REDIRECTS = 10;

export interface HttpOptions {
  readonly signal?: AbortSignal;
  /** Sent to the origin of the first URL only, never to where that redirects. */
  readonly token?: string;
}

/** A failure that another attempt may cure. */
export class RetryableError extends Error {
  /** Milliseconds that the server asked to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: ErrorOptions & { retryAfter?: number } = {}) {
    super(message, options);
    this.name = 'RetryableError';
    this.retryAfter = options.retryAfter;
  }
}

/**
 * One request, redirects followed by hand. Any status below 400 comes back, and 416; the rest is thrown.
 *
 * @param stopAt ends the following early, with the redirect itself as the answer
 * @throws ModelError for what no attempt can cure, RetryableError for the rest
 */
export async function request(
  method: 'GET' | 'HEAD',
  url: URL,
  headers: Readonly<Record<string, string>>,
  options: HttpOptions,
  stopAt: (response: Response) => boolean = () => false,
): Promise<Response> {
  let target = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await fetchOnce(method, target, headers, url, options);
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || !location || stopAt(response)) {
      return checkStatus(response, target, options);
    }
    await response.body?.cancel();
    const next = new URL(location, target);
    if (next.protocol !== 'https:' && !(next.protocol === 'http:' && isLoopback(next.hostname))) {
      throw new ModelError(
        'HTTP_STATUS',
        `${target.host} redirects to ${next.protocol}//${next.host}, which is not encrypted`,
        'take another source',
      );
    }
    target = next;
  }
  throw new ModelError(
    'HTTP_STATUS',
    `${url.host} redirects more than ${MAX_REDIRECTS} times`,
    'take another source',
  );
}

async function fetchOnce(
  method: string,
  target: URL,
  headers: Readonly<Record<string, string>>,
  first: URL,
  { signal, token }: HttpOptions,
): Promise<Response> {
  const authorization: Record<string, string> =
    token && target.origin === first.origin ? { authorization: `Bearer ${token}` } : {};
  try {
    return await fetch(target, {
      method,
      redirect: 'manual',
      signal,
      // identity: offsets and sizes are those of the file, not of a compressed form of it.
      headers: { 'user-agent': 'botstack', 'accept-encoding': 'identity', ...headers, ...authorization },
    });
  } catch (error) {
    throw connectionError(error, target);
  }
}

/** What a failed connection or a broken transfer means. */
export function connectionError(error: unknown, target: URL): Error {
  if (error instanceof ModelError || error instanceof RetryableError) return error;
  // fetch hides the system's error in `cause`.
  const cause = (error as Error | null)?.cause ?? error;
  const code = systemCode(cause) ?? '';
  const detail = code || String((cause as Error | null)?.message ?? cause);
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code)) {
    return new ModelError(
      'NO_NETWORK',
      `the certificate of ${target.host} is not trusted (${code})`,
      'if your network inspects TLS, point NODE_EXTRA_CA_CERTS to its certificate authority',
      { cause: error },
    );
  }
  return new RetryableError(`${target.host}: ${detail}`, { cause: error });
}

async function checkStatus(response: Response, target: URL, { token }: HttpOptions): Promise<Response> {
  const { status } = response;
  if (status < 400 || status === 416) return response;
  await response.body?.cancel();
  const what = `${target.host} answers ${status} for ${target.pathname}`;
  if (status === 401 || status === 403) {
    throw new ModelError(
      'ACCESS_DENIED',
      what,
      token
        ? 'the token in HF_TOKEN may not read this: check that it is valid and that the licence was accepted'
        : 'the file is private, gated or not there: for a model hub, accept its licence and set HF_TOKEN',
    );
  }
  if (status === 404 || status === 410) {
    throw new ModelError('NOT_FOUND', what, 'check the spelling of repository, file and revision');
  }
  if (status === 408 || status === 429 || status >= 500) {
    throw new RetryableError(what, { retryAfter: retryAfter(response.headers.get('retry-after')) });
  }
  throw new ModelError('HTTP_STATUS', what, 'open the address in a browser to see why');
}

function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.min(60_000, Math.max(0, milliseconds)) : undefined;
}

export interface RetryPolicy {
  /** Milliseconds to wait before each further attempt; as many attempts as there are waits, and one. */
  readonly waits: readonly number[];
  /** The same once a first byte has come: then the network is there, and patience pays. */
  readonly waitsAfterProgress: readonly number[];
}

export const DEFAULT_RETRIES: RetryPolicy = {
  waits: [500, 2_000],
  waitsAfterProgress: [500, 2_000, 5_000, 10_000, 20_000],
};

/**
 * Repeats `attempt` while it throws RetryableError. An attempt that brought something (`progressed`) starts the
 * count anew.
 *
 * @throws ModelError NO_NETWORK after the last attempt, ABORTED when the signal fires
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  policy: RetryPolicy,
  options: { readonly signal?: AbortSignal; progressed?: () => boolean; note?: (text: string) => void },
): Promise<T> {
  let waits = policy.waits;
  for (let failures = 0; ;) {
    try {
      options.signal?.throwIfAborted();
      return await attempt();
    } catch (error) {
      if (options.signal?.aborted) throw aborted();
      if (!(error instanceof RetryableError)) throw error;
      if (options.progressed?.()) {
        failures = 0;
        waits = policy.waitsAfterProgress;
      }
      const wait = waits[failures++];
      if (wait === undefined) throw unreachable(error, failures);
      options.note?.(`${error.message}; attempt ${failures + 1} of ${waits.length + 1}`);
      await sleep(error.retryAfter ?? wait, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}

/** @param resumes whether the bytes that came are kept for the next time */
export function aborted(resumes = false): ModelError {
  return new ModelError(
    'ABORTED',
    'the pull was interrupted',
    resumes ? 'run it again: the download goes on where it stopped' : 'run it again: it begins anew',
  );
}

function unreachable(error: Error, attempts: number): ModelError {
  return new ModelError(
    'NO_NETWORK',
    `${error.message}, after ${counted(attempts, 'attempt')}`,
    'check the network (and a proxy: HTTPS_PROXY with NODE_USE_ENV_PROXY=1 on Node 24), or pass a file that is ' +
      'already here: --model PATH',
    { cause: error },
  );
}
