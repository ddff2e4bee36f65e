/**
 * Answers that need not be computed twice: requests that would be answered the same again, because nothing in them is
 * left to chance. What is kept is the engine's own output: the access policy is applied to it each time.
 */
import { hash, hkdfSync } from 'node:crypto';

import type { ApiKeys } from '../access/api-keys.js';
import type { GenerateEvent, GenerateRequest } from '../engine/engine.js';

/** Where answers are kept. Neither method rejects: a store that is away has nothing. */
export interface AnswerStore {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
  close(): Promise<void>;
}

export interface ResponseCacheOptions {
  readonly store: AnswerStore;
  /** Changes whenever the same request would be answered otherwise: the model's bytes, the runtime's version. */
  readonly fingerprint: string;
  readonly keys: ApiKeys;
}

export class ResponseCache {
  readonly #options: ResponseCacheOptions;
  #secret: { readonly of: string; readonly key: string } | undefined;

  constructor(options: ResponseCacheOptions) {
    this.#options = options;
  }

  /** Undefined for a request whose answer is left to chance. A prediction makes it sooner, not another one. */
  keyOf({ id: _id, prediction: _prediction, ...request }: GenerateRequest): string | undefined {
    const [apiKey] = this.#options.keys.current();
    if (apiKey === undefined || (request.temperature !== 0 && request.seed === undefined)) return undefined;
    if (this.#secret?.of !== apiKey.value) {
      const key = Buffer.from(hkdfSync('sha256', apiKey.value, '', 'botstack cache key v1', 32)).toString(
        'hex',
      );
      this.#secret = { of: apiKey.value, key };
    }
    // Keyed: whoever sees the store's keys cannot find out what was asked by trying. What follows the key has one length,
    // so this is as good as an HMAC, at half of its price.
    const digest = hash('sha256', JSON.stringify([this.#options.fingerprint, request]));
    return hash('sha256', this.#secret.key + digest, 'base64url');
  }

  /** The whole answer, as the engine gave it. */
  async get(key: string): Promise<readonly GenerateEvent[] | undefined> {
    const value = await this.#options.store.get(key);
    return value === undefined ? undefined : (JSON.parse(value) as readonly GenerateEvent[]);
  }

  async set(key: string, events: readonly GenerateEvent[]): Promise<void> {
    await this.#options.store.set(key, JSON.stringify(joined(events)));
  }
}

/** One piece instead of one for each token, where nothing but the text would be lost. */
function joined(events: readonly GenerateEvent[]): readonly GenerateEvent[] {
  const result: GenerateEvent[] = [];
  for (const event of events) {
    const last = result.at(-1);
    if (event.type === 'text' && last?.type === 'text' && isPlain(event) && isPlain(last)) {
      result[result.length - 1] = {
        type: 'text',
        text: last.text + event.text,
        tokens: last.tokens + event.tokens,
      };
    } else result.push(event);
  }
  return result;
}

function isPlain(event: GenerateEvent): boolean {
  return Object.keys(event).length === 3;
}
