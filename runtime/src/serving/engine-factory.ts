/** Makes the engines that the configuration asks for. llama.cpp and the remote client are loaded only where needed. */
import type { ModelConfig } from '../config/models.js';
import type { Engine } from '../engine/engine.js';
import type { Estimate } from '../engine/estimate-models.js';
import { DEFAULT_CONTEXT_SIZE, DEFAULT_SEQUENCES, type LocalEngineOptions } from '../engine/options.js';
import type { LocalEngine } from '../engine/switchable-engine.js';
import type { Logger } from '../log/logger.js';

export interface EngineFactory {
  /** `model.path` is set. */
  local(model: ModelConfig): Promise<LocalEngine>;
  /** `model.remote` is set. */
  remote(model: ModelConfig): Promise<Engine>;
  /** What local models will take, in their order. */
  estimate(models: readonly ModelConfig[]): Promise<readonly Estimate[]>;
}

/** Of the free memory: what all prompt caches together may take by default. */
const PROMPT_CACHE_SHARE = 0.25;

export interface EngineFactoryOptions {
  /** How many of them share the memory. */
  readonly localModels: number;
  /** What models but the one with this `key` (see ModelConfig) will still take, in bytes. */
  readonly promisedBeside: (key: string) => Promise<number>;
  readonly log: Logger;
}

export function engineFactory({ localModels, promisedBeside, log }: EngineFactoryOptions): EngineFactory {
  const options = ({ id, path, engine }: ModelConfig): Omit<LocalEngineOptions, 'log'> => {
    if (path === undefined) throw new Error(`${id} is no local model`);
    return {
      modelPath: path,
      modelId: id,
      contextSize: engine.context_size,
      sequences: engine.sequences,
      threads: engine.threads,
      batchSize: engine.batch_size,
      flashAttention: engine.flash_attention,
      repack: engine.repack,
      fastKernels: engine.fast_kernels,
      promptLookup: engine.prompt_lookup,
      kvCacheType: engine.kv_cache_type,
      promptCacheMiB: engine.prompt_cache_mib,
      promptCacheShare: PROMPT_CACHE_SHARE / Math.max(1, localModels),
      loadTimeoutSeconds: engine.load_timeout_seconds,
    };
  };
  return {
    async local(model) {
      const { createLocalEngine } = await import('../engine/local-engine.js');
      // With several, each line says whose it is.
      const whose = localModels > 1 ? `${model.id}: ` : '';
      return createLocalEngine({
        ...options(model),
        promisedBytes: () => promisedBeside(model.key),
        log: (level, text) => log.log(level, whose + text),
      });
    },
    async remote({ id, remote, name, engine }) {
      if (remote === undefined) throw new Error(`${id} is no remote model`);
      const { RemoteEngine } = await import('../engine/remote-engine.js');
      return new RemoteEngine({
        service: remote,
        model: name,
        contextSize: engine.context_size ?? DEFAULT_CONTEXT_SIZE,
        sequences: engine.sequences ?? DEFAULT_SEQUENCES,
        log: (level, text) => log.log(level, `${id}: ${text}`),
      });
    },
    async estimate(models) {
      const { estimateLocal } = await import('../engine/local-engine.js');
      return estimateLocal(models.map(options));
    },
  };
}
