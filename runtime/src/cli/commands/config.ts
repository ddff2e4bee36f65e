/** `bot config check`: is this configuration file usable here? */
import type { Command } from 'commander';

import { checkPaths, configFile, loadConfig } from '../../config/load.js';

export function registerConfig(program: Command): void {
  const config = program.command('config').description('work with the configuration file');
  config
    .command('check')
    .description('check the configuration file and the files it names; starts nothing')
    .option('--config <file>', 'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)')
    .action((options: { config?: string }) => {
      const file = configFile(options.config, process.env);
      checkPaths(file, loadConfig(file, process.env));
      process.stdout.write(`${file} is valid\n`);
    });
}
