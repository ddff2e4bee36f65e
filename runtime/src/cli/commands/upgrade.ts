/** `bot upgrade`, and `upgrade.sh`, which is the same: another version, with a backup before and a way back. */
import { InvalidArgumentError, type Command } from 'commander';

import {
  installationOf,
  parseSha256,
  withOperationOptions,
  type OperationOptions,
} from './operation-options.js';

interface UpgradeFlags extends OperationOptions {
  readonly version: string;
  readonly from?: string;
  readonly sha256?: string;
  readonly restart?: true;
}

export function registerUpgrade(program: Command): void {
  withOperationOptions(program.command('upgrade'))
    .description('run another version: back up, unpack beside the old one, switch, prove it by an answer')
    .requiredOption('--version <version>', 'the version to run, such as 0.2.0', parseVersion)
    .option('--from <file>', 'its bundle; without it the version must be on this machine already')
    .option(
      '--sha256 <hex>',
      "the bundle's SHA-256 (default: the digits at the end of its name)",
      parseSha256,
    )
    .option(
      '--restart',
      'end the old version first: clients get 503 until the models are loaded (default: it answers until the new one can)',
    )
    .addHelpText(
      'after',
      '\nWhere the new version does not answer, the old one returns by itself, and the exit code is 1.' +
        '\nThe usual way is `cdktf deploy`, which checks more; this one is for a machine that stays as it is.' +
        '\n\nExamples:\n  sudo bot upgrade --version 0.2.0 --from bot-0.2.0-linux-x64-0123456789ab.tar.gz' +
        '\n  sudo bot upgrade --version 0.1.0     (back to a release that is still here)',
    )
    .action(upgrade);
}

async function upgrade(options: UpgradeFlags): Promise<void> {
  const { upgrade: run } = await import('../../operations/upgrade.js');
  await run(await installationOf(options), options);
}

function parseVersion(value: string): string {
  if (/^\d+\.\d+\.\d+(-[\w.-]+)?$/.test(value)) return value;
  throw new InvalidArgumentError('Allowed: a version such as 0.2.0.');
}
