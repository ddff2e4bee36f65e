/** `bot serve`: runs the chat service until it is told to stop. */
import { join } from 'node:path';

import type { Command } from 'commander';

import { configFile, loadConfig } from '../../config/load.js';
import type { BotConfig } from '../../config/schema.js';
import type { Engine } from '../../engine/engine.js';
import type { Logger } from '../../log/logger.js';
import { PACKAGE_ROOT, readVersion } from '../version.js';

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('run the chat service; SIGTERM or Ctrl-C ends it when running answers are done')
    .option('--config <file>', 'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)')
    .action(async (options: { config?: string }) => {
      const file = configFile(options.config, process.env);
      const config = loadConfig(file, process.env);
      const { runService } = await import('../../server-run.js');
      process.exitCode = await runService({
        config,
        configFile: file,
        env: process.env,
        version: readVersion().version,
        consoleDirectory: join(PACKAGE_ROOT, 'console'),
        createEngine,
      });
    });
}

async function createEngine(config: BotConfig, log: Logger): Promise<Engine> {
  const { engine, model_path: modelPath, model_name: modelName, remote_service: service } = config;
  if (service !== undefined) {
    const { RemoteEngine } = await import('../../engine/remote-engine.js');
    return new RemoteEngine({
      service,
      model: modelName,
      contextSize: engine.context_size,
      sequences: engine.sequences,
      log: (level, text) => log.log(level, text),
    });
  }
  // The schema makes sure that one of the two is set.
  if (modelPath === undefined) throw new Error('neither model_path nor remote_service is set');
  const { createLocalEngine } = await import('../../engine/local-engine.js');
  return createLocalEngine({
    modelPath,
    modelId: modelName,
    contextSize: engine.context_size,
    sequences: engine.sequences,
    threads: engine.threads,
    batchSize: engine.batch_size,
    flashAttention: engine.flash_attention,
    kvCacheType: engine.kv_cache_type,
    promptCacheMiB: engine.prompt_cache_mib,
    loadTimeoutSeconds: engine.load_timeout_seconds,
    log: (level, text) => log.log(level, text),
  });
}
