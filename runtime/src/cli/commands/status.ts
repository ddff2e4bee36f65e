/** `bot status`: how the running service is, asked on loopback. */
import type { Command } from 'commander';

import { EXIT } from '../exit-codes.js';
import { CONFIG_FLAG, installedAt, ROOT_FLAG } from './operation-options.js';

export function registerStatus(program: Command): void {
  program
    .command('status')
    .description(
      'say whether the service is ready, what it runs and how busy it is; exit code 1 when it is not ready',
    )
    .option(...CONFIG_FLAG)
    .option(...ROOT_FLAG)
    .option('--json', 'one JSON object: sizes in bytes, times in seconds')
    .addHelpText('after', '\nExamples:\n  sudo bot status\n  sudo bot status --json | jq .ready')
    .action(status);
}

async function status(options: { config?: string; root?: string; json?: true }): Promise<void> {
  const { installedConfig } = await import('../../operations/installation.js');
  const { readStatus, statusRows } = await import('../../operations/status.js');
  const installed = await installedAt(options);
  const found = await readStatus(installed.configFile, installedConfig(installed).network.internal_port);
  if (options.json === true) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else for (const [name, value] of statusRows(found)) process.stdout.write(`${name.padEnd(10)} ${value}\n`);
  if (!found.ready) process.exitCode = EXIT.FAILURE;
}
