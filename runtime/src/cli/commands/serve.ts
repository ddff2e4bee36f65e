/** `bot serve`: runs the chat service until it is told to stop. */
import { join } from 'node:path';

import type { Command } from 'commander';

import { configFile, loadConfig } from '../../config/load.js';
import { PACKAGE_ROOT, readVersion } from '../version.js';

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('run the chat service; SIGTERM or Ctrl-C ends it when running answers are done')
    .option('--config <file>', 'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)')
    .addHelpText('after', '\nExample:\n  bot serve --config ./config.yaml')
    .action(async (options: { config?: string }) => {
      const { Predecessor } = await import('../../server/handover/predecessor.js');
      const predecessor = Predecessor.connect();
      try {
        const file = configFile(options.config, process.env);
        const config = loadConfig(file, process.env);
        const { runService } = await import('../../server/run.js');
        process.exitCode = await runService({
          config,
          configFile: file,
          env: process.env,
          version: readVersion().version,
          consoleDirectory: join(PACKAGE_ROOT, 'console'),
          predecessor,
        });
      } catch (error) {
        await predecessor?.failed(error);
        throw error;
      } finally {
        predecessor?.close();
      }
    });
}
