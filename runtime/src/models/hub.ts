/** Files of a model hub: where they are and what their SHA-256 is, as the hub itself says. */
import { ModelError } from './errors.js';
import { DEFAULT_RETRIES, request, type RetryPolicy, withRetries } from './http.js';
import { type HubSource, isLoopback } from './source.js';

const DEFAULT_ENDPOINT = 'https://huggingface.co';

export interface HubFile {
  /** The address under which the hub hands the file out, usually by a redirect to its store. */
  readonly url: URL;
  /** Undefined where the hub names none (a file that is not in large file storage). */
  readonly sha256: string | undefined;
  readonly size: number | undefined;
}

export interface HubOptions {
  /** HF_ENDPOINT and HF_TOKEN are read from it. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  readonly retries?: RetryPolicy;
  readonly note?: (text: string) => void;
}

/** @throws ModelError NOT_FOUND, ACCESS_DENIED, NO_NETWORK, HTTP_STATUS, INVALID_SOURCE */
export async function resolveHubFile(source: HubSource, options: HubOptions): Promise<HubFile> {
  const path = [source.repository, 'resolve', encodeURIComponent(source.revision), source.file].join('/');
  const url = new URL(`${endpoint(options.env)}/${path}`);
  // The hub's own answer carries the hash; the store that it redirects to does not know it.
  const answer = await withRetries(
    () =>
      request('HEAD', url, {}, { signal: options.signal, token: hubToken(options.env) }, (response) =>
        response.headers.has('x-linked-etag'),
      ),
    options.retries ?? DEFAULT_RETRIES,
    options,
  );
  const sha256 = /^(?:W\/)?"?([0-9a-f]{64})"?$/i
    .exec(answer.headers.get('x-linked-etag') ?? '')?.[1]
    ?.toLowerCase();
  const size = Number(answer.headers.get('x-linked-size') ?? Number.NaN);
  return { url, sha256, size: Number.isSafeInteger(size) && size > 0 ? size : undefined };
}

export function hubToken(env: NodeJS.ProcessEnv): string | undefined {
  return env['HF_TOKEN']?.trim() || undefined;
}

function endpoint(env: NodeJS.ProcessEnv): string {
  const text = (env['HF_ENDPOINT']?.trim() || DEFAULT_ENDPOINT).replace(/\/+$/, '');
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))))
    return text;
  throw new ModelError(
    'INVALID_SOURCE',
    `Expected HF_ENDPOINT to be an https: address, got \`${text}\``,
    `unset it for ${DEFAULT_ENDPOINT}`,
  );
}
