/** Embeddings of a `remote_service`: its chat route's neighbour, or the route that the configuration names. */
import type { Embeddings, EmbedRequest } from '../engine.js';
import type { RemoteClient } from './client.js';
import type { RemoteResponse } from './connection.js';
import { RemoteFailure, upstreamFailed } from './failures.js';

/** How services say that they have no such route. */
const NO_EMBEDDINGS = new Set<unknown>([404, 405, 501]);
/** The most inputs with long vectors are some 100 MB of JSON; twice that is something else. */
const MOST_BYTES = 256 * 1024 * 1024;

/** `…/chat/completions` has `…/embeddings` beside it, as OpenAI's API has. Undefined for other addresses. */
export function embeddingsAddress(endpoint: string): string | undefined {
  const url = new URL(endpoint);
  if (/\/embeddings\/?$/.test(url.pathname)) return endpoint;
  if (!/\/chat\/completions\/?$/.test(url.pathname)) return undefined;
  url.pathname = url.pathname.replace(/\/chat\/completions\/?$/, '/embeddings');
  return url.href;
}

interface RemoteAnswer {
  readonly data?: readonly { readonly index?: unknown; readonly embedding?: unknown }[];
  readonly usage?: { readonly prompt_tokens?: unknown };
}

/** @throws RemoteFailure, or the signal's reason */
export async function remoteEmbeddings(
  client: RemoteClient,
  { address, model }: { readonly address: string; readonly model: string | undefined },
  { id, inputs, dimensions }: EmbedRequest,
  signal: AbortSignal,
): Promise<Embeddings> {
  const body = {
    ...(model === undefined ? {} : { model }),
    input: inputs,
    encoding_format: 'float',
    ...(dimensions === undefined ? {} : { dimensions }),
  };
  let response: RemoteResponse;
  try {
    response = await client.post({ id, address, body, accept: 'application/json' }, signal);
  } catch (error) {
    if (!(error instanceof RemoteFailure) || !NO_EMBEDDINGS.has(error.details['status'])) throw error;
    throw new RemoteFailure('embeddings_refused', `it has no embeddings (${error.details['status']})`);
  }
  try {
    return toEmbeddings(await readJson(response), inputs.length);
  } catch (error) {
    if (signal.aborted || error instanceof RemoteFailure) throw error;
    throw upstreamFailed(`its embeddings cannot be read: ${(error as Error).message}`);
  } finally {
    response.discard();
  }
}

async function readJson({ body }: RemoteResponse): Promise<RemoteAnswer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    pieces.push(piece);
    if ((size += piece.length) > MOST_BYTES) throw new Error('there is no end to them');
  }
  const value: unknown = JSON.parse(Buffer.concat(pieces).toString());
  return typeof value === 'object' && value !== null ? (value as RemoteAnswer) : {};
}

function toEmbeddings({ data, usage }: RemoteAnswer, count: number): Embeddings {
  const byIndex = new Map(Array.isArray(data) ? data.map((entry) => [entry?.index, entry?.embedding]) : []);
  const vectors = Array.from({ length: count }, (_, index) => {
    const vector: unknown = byIndex.get(index);
    if (!Array.isArray(vector) || vector.length === 0 || !vector.every(Number.isFinite)) {
      throw upstreamFailed(`it gave no vector for input ${index}`);
    }
    return Float32Array.from(vector as number[]);
  });
  const tokens = usage?.prompt_tokens;
  return { vectors, promptTokens: typeof tokens === 'number' && tokens >= 0 ? Math.floor(tokens) : 0 };
}
