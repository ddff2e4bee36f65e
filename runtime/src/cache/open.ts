/** The response cache that the configuration asks for. */
import type { ApiKeys } from '../access/api-keys.js';
import type { BotConfig } from '../config/schema.js';
import type { Logger } from '../log/logger.js';
import { fingerprintOf } from './model-fingerprint.js';
import { ResponseCache, type AnswerStore } from './response-cache.js';

const MB = 1024 * 1024;

/** Undefined where it is switched off. Each kind is loaded only where it is used. */
export async function openCache(
  config: BotConfig,
  keys: ApiKeys,
  version: string,
  log: Logger,
): Promise<ResponseCache | undefined> {
  const store = await openStore(config, keys, log);
  if (store === undefined) return undefined;
  const { model_path: path, remote_service: remote, engine } = config;
  const model = path === undefined ? remote?.endpoint : await fingerprintOf(path);
  const fingerprint = JSON.stringify([version, model, config.model_name, engine]);
  return new ResponseCache({ store, fingerprint, keys });
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
