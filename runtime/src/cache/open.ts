/** The response caches that the configuration asks for: one for each model, in one store. */
import type { ApiKeys } from '../access/api-keys.js';
import type { ModelConfig } from '../config/models.js';
import type { BotConfig } from '../config/schema.js';
import type { Logger } from '../log/logger.js';
import { fingerprintOf } from './model-fingerprint.js';
import { ResponseCache, type AnswerStore } from './response-cache.js';

const MB = 1024 * 1024;

export interface ResponseCaches {
  /** Undefined where it is switched off. */
  of(model: ModelConfig): Promise<ResponseCache | undefined>;
  close(): Promise<void>;
}

/** Each kind of store is loaded only where it is used. */
export async function openCaches(
  config: BotConfig,
  keys: ApiKeys,
  version: string,
  log: Logger,
): Promise<ResponseCaches> {
  const store = await openStore(config, keys, log);
  return {
    async of({ path, remote, name, engine }) {
      if (store === undefined) return undefined;
      const model = path === undefined ? remote?.endpoint : await fingerprintOf(path);
      const fingerprint = JSON.stringify([version, model, name, engine]);
      return new ResponseCache({ store, fingerprint, keys });
    },
    async close() {
      await store?.close();
    },
  };
}

async function openStore(config: BotConfig, keys: ApiKeys, log: Logger): Promise<AnswerStore | undefined> {
  const { store, max_mb: maxMb, ttl_seconds: ttlSeconds, redis_url: url } = config.cache;
  if (store === 'memory') {
    const { MemoryStore } = await import('./memory-store.js');
    return new MemoryStore({ maxBytes: maxMb * MB, ttlMs: ttlSeconds * 1000 });
  }
  if (store === 'redis' && url !== undefined) {
    const { RedisStore } = await import('./redis-store.js');
    const { encryption } = config.security;
    return RedisStore.open({ url, ttlSeconds, encryption, keys, log: (level, text) => log.log(level, text) });
  }
  return undefined;
}
