/** `bot reload`: the release and the configuration on the disk take effect, without a moment in which nobody answers. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { Command } from 'commander';

import { configFile, loadConfig } from '../../config/load.js';
import { PACKAGE_ROOT } from '../version.js';
import { CONFIG_FLAG } from './operation-options.js';

/** The unit's RuntimeDirectory. */
const RUNTIME_DIRECTORY = '/run/bot';

export function registerReload(program: Command): void {
  program
    .command('reload')
    .description('put a changed configuration, or another release, to work without a pause')
    .option(...CONFIG_FLAG)
    .option('--quiet', 'say only what goes wrong')
    .addHelpText(
      'after',
      '\nThe running service starts a new process beside itself. Once that has loaded its models and answered, it takes' +
        '\nthe ports over, and the old one ends when its running answers are done. Where the new one cannot run, or the' +
        '\nmemory does not hold the models twice, nothing changes, and the exit code is 1.' +
        '\n\nOn a machine with systemd, rather: sudo systemctl reload bot   (the values in /etc/bot/environment come with it)',
    )
    .action(reload);
}

async function reload(options: { config?: string; quiet?: true }): Promise<void> {
  const file = resolve(configFile(options.config, process.env));
  // All that is wrong with it is told here, and the service is not bothered.
  loadConfig(file, process.env);
  const { reloadSocketPath, requestReload } = await import('../../server/handover/reload-socket.js');
  const path = reloadSocketPath({ RUNTIME_DIRECTORY, ...process.env }) ?? RUNTIME_DIRECTORY;
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const say = (line: string) => options.quiet ?? process.stdout.write(`${line}\n`);
  await requestReload(path, { program: botProgram(), configFile: file, env }, say);
  say('reloaded: the new process answers');
}

/** Of the release that this command belongs to. */
function botProgram(): string {
  const inBundle = join(PACKAGE_ROOT, '..', 'bin', 'bot');
  return existsSync(inBundle) ? inBundle : join(PACKAGE_ROOT, 'bin', 'bot');
}
