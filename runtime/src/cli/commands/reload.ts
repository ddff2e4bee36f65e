/** `bot reload`: the release and the configuration on the disk take effect, without a moment in which nobody answers. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import type { Command } from 'commander';

import { configFile, loadConfig } from '../../config/load.js';
import { PACKAGE_ROOT } from '../version.js';
import { CONFIG_FLAG } from './operation-options.js';

export function registerReload(program: Command): void {
  program
    .command('reload')
    .description('put a changed configuration, or another release, to work without a pause')
    .option(...CONFIG_FLAG)
    .option('--quiet', 'say only what goes wrong')
    .addHelpText(
      'after',
      '\nThe running service starts a new process beside itself. Once that has loaded its models and answered, it takes' +
        '\nthe ports over, and the old one ends when its running answers are done. Where the memory does not hold the' +
        '\nmodels twice, requests wait while they change places. Where the new one cannot run, the old one goes on, and the' +
        '\nexit code is 1.' +
        '\n\nThis asks systemd for it (systemctl reload bot). With RUNTIME_DIRECTORY set, as systemd does for the service,' +
        '\nit asks the service that runs with the same one.' +
        '\n\nExample:\n  sudo bot config check && sudo bot reload',
    )
    .action(reload);
}

async function reload(options: { config?: string; quiet?: true }): Promise<void> {
  const { layoutAt } = await import('../../operations/layout.js');
  const { serviceEnvironment } = await import('../../operations/installation.js');
  const { reloadSocketPath, requestReload } = await import('../../server/handover/reload-socket.js');
  const file = resolve(configFile(options.config, process.env));
  const say = (line: string) => options.quiet ?? process.stdout.write(`${line}\n`);
  const path = reloadSocketPath(process.env);
  // All that is wrong with it is told here, and the service is not bothered.
  loadConfig(file, path === undefined ? serviceEnvironment(layoutAt(), process.env) : process.env);
  if (path === undefined) {
    const { reloadUnit } = await import('../../operations/service-manager.js');
    await reloadUnit();
  } else {
    await requestReload(path, { program: botProgram(), configFile: file, env: process.env }, say);
  }
  say('reloaded: the new process answers');
}

/** Of the release that this command belongs to. */
function botProgram(): string {
  const inBundle = join(PACKAGE_ROOT, '..', 'bin', 'bot');
  return existsSync(inBundle) ? inBundle : join(PACKAGE_ROOT, 'bin', 'bot');
}
