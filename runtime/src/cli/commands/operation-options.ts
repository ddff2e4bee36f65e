/** Flags that the commands which change an installation share. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';

import type { Installation } from '../../operations/installation.js';

export const CONFIG_FLAG = [
  '--config <file>',
  'configuration file (default: $BOT_CONFIG or /etc/bot/config.yaml)',
] as const;

export const ROOT_FLAG = ['--root <dir>', 'work on the installation below this folder instead of /'] as const;

export interface OperationOptions {
  readonly config?: string;
  readonly root?: string;
  readonly serviceCommand?: string;
}

export function withOperationOptions(command: Command): Command {
  return command
    .option(...CONFIG_FLAG)
    .option(...ROOT_FLAG)
    .option(
      '--service-command <command>',
      'how to stop and restart the service where there is no systemd: a shell command, called with stop or restart',
    );
}

export async function installationOf(options: OperationOptions): Promise<Installation> {
  const { serviceCommand, systemd, unknownManager } = await import('../../operations/service-manager.js');
  const usual = options.root === undefined ? systemd : unknownManager;
  return {
    ...(await installedAt(options)),
    manager: options.serviceCommand === undefined ? usual : serviceCommand(options.serviceCommand),
    say: (line) => process.stdout.write(`${line}\n`),
    warn: (line) => process.stderr.write(`warning: ${line}\n`),
  };
}

/** Where it lies; enough for commands that change nothing. */
export async function installedAt({
  config,
  root,
}: Pick<OperationOptions, 'config' | 'root'>): Promise<Pick<Installation, 'layout' | 'configFile'>> {
  const { layoutAt } = await import('../../operations/layout.js');
  const layout = layoutAt(root);
  const fromEnvironment = root === undefined ? process.env['BOT_CONFIG'] : undefined;
  return { layout, configFile: config ?? fromEnvironment ?? layout.configFile };
}

export function parseSha256(value: string): string {
  if (/^[0-9a-fA-F]{64}$/.test(value)) return value.toLowerCase();
  throw new InvalidArgumentError('Allowed: 64 hexadecimal digits.');
}

export function parseCount(value: string): number {
  if (/^[1-9]\d{0,4}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('Allowed: a whole number from 1 to 99999.');
}
