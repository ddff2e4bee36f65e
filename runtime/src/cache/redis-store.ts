/**
 * Keeps answers in Redis, where several services share them. Sealed before they leave: Redis's administrators and its
 * disk see no conversation. A Redis that is away, slow or full means misses, never errors, and is tried again.
 */
import { Redis } from 'ioredis';

import type { ApiKeys } from '../access/api-keys.js';
import { seal, unseal, type Encryption } from '../access/sealed.js';
import type { LogLevel } from '../log/logger.js';
import type { AnswerStore } from './response-cache.js';

export interface RedisStoreOptions {
  readonly url: string;
  readonly ttlSeconds: number;
  readonly encryption: Encryption;
  readonly keys: ApiKeys;
  readonly log: (level: LogLevel, text: string) => void;
}

const PREFIX = 'botstack:answer:';
const PURPOSE = 'response cache';
/** Longer than this, computing the answer is the better choice. */
const COMMAND_TIMEOUT_MS = 250;
const CONNECT_TIMEOUT_MS = 2000;
/** Not asked again for so long after it failed: one that hangs would hold up each request for the time that a command has. */
const PAUSE_MS = 1000;
/** The longest pause between two tries to connect. */
const MAX_RETRY_MS = 2000;

export class RedisStore implements AnswerStore {
  readonly #options: RedisStoreOptions;
  readonly #redis: Redis;
  #isAway = false;
  /** performance.now(), of one that is away. */
  #askAgainAt = 0;

  /** Resolves once Redis answers, or has failed to for the first time: then it is tried again in the background. */
  static async open(options: RedisStoreOptions): Promise<RedisStore> {
    const store = new RedisStore(options);
    await new Promise<void>((resolve) => {
      store.#redis.once('ready', resolve);
      store.#redis.once('error', () => resolve());
    });
    return store;
  }

  private constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#redis = new Redis(options.url, {
      commandTimeout: COMMAND_TIMEOUT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // With Redis away, a request must not wait for it to come back.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(100 * times, MAX_RETRY_MS),
    });
    this.#redis.on('error', (error: Error) => this.#away(error));
    this.#redis.on('ready', () => this.#back());
  }

  async get(key: string): Promise<string | undefined> {
    if (this.#isPaused()) return undefined;
    const { keys, encryption } = this.#options;
    try {
      const sealed = await this.#redis.getBuffer(PREFIX + key);
      this.#back();
      if (sealed === null) return undefined;
      const apiKeys = keys.current().map(({ value }) => value);
      const opened = unseal(sealed, apiKeys, encryption, PURPOSE);
      return opened.ok ? opened.content.toString('utf8') : undefined;
    } catch (error) {
      this.#away(error as Error);
      return undefined;
    }
  }

  async set(key: string, value: string): Promise<void> {
    const { keys, encryption, ttlSeconds } = this.#options;
    const [apiKey] = keys.current();
    if (apiKey === undefined || this.#isPaused()) return;
    try {
      const sealed = seal(Buffer.from(value), apiKey.value, encryption, PURPOSE);
      await this.#redis.set(PREFIX + key, sealed, 'EX', ttlSeconds);
      this.#back();
    } catch (error) {
      this.#away(error as Error);
    }
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  /** One line when it goes, one when it is back: not one for each request. */
  #away(error: Error): void {
    if (!this.#isAway) {
      this.#options.log(
        'WRN',
        `the response cache in Redis cannot be used, answers are computed: ${error.message}`,
      );
    }
    this.#isAway = true;
    this.#askAgainAt = performance.now() + PAUSE_MS;
  }

  #isPaused(): boolean {
    return this.#isAway && performance.now() < this.#askAgainAt;
  }

  #back(): void {
    if (this.#isAway) this.#options.log('INF', 'the response cache in Redis can be used again');
    this.#isAway = false;
  }
}
