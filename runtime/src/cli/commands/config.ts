/** `bot config check`: is this configuration file usable here? */
import type { Command } from 'commander';

import { checkPaths, configFile, loadConfig } from '../../config/load.js';

export function registerConfig(program: Command): void {
  const config = program.command('config').description('work with the configuration file');
  config
    .command('check')
    .description('check the configuration file and the files it names; starts nothing')
    .option('--config <file>', 'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)')
    .addHelpText('after', '\nExamples:\n  sudo bot config check\n  bot config check --config ./config.yaml')
    .action(async (options: { config?: string }) => {
      const file = configFile(options.config, process.env);
      const config = loadConfig(file, process.env);
      checkPaths(file, config);
      const { checkModelFiles } = await import('../../operations/model-files.js');
      await checkModelFiles(file, config);
      process.stdout.write(`${file} is valid\n`);
    });
}
