/** `bot backup` and `bot restore`: settings, state and logs into one file, and back. */
import type { Command } from 'commander';

import { counted } from '../../errors/counted.js';
import { readVersion } from '../version.js';
import {
  installationOf,
  parseCount,
  ROOT_FLAG,
  withOperationOptions,
  type OperationOptions,
} from './operation-options.js';

export function registerBackup(program: Command): void {
  program
    .command('backup')
    .description('copy settings, state and logs into a dated tar.gz, while the service runs')
    .option('--to <dir>', 'where it goes (default: /var/backups/bot)')
    .option('--keep <number>', 'remove older backups there beyond this number', parseCount)
    .option(...ROOT_FLAG)
    .addHelpText(
      'after',
      '\nThe file is readable by root only: it holds the TLS key.' +
        '\n\nExamples:\n  sudo bot backup\n  sudo bot backup --to /mnt/safe --keep 14',
    )
    .action(backup);

  withOperationOptions(program.command('restore <file>'))
    .description('put a backup back: verify it, keep the present state aside, restart, prove it by an answer')
    .option('--with-logs', 'put the logs back too; without it the present ones go on')
    .addHelpText(
      'after',
      '\nA backup that is damaged changes nothing. Where the restored state does not answer, the present one returns.' +
        '\n\nExample:\n  sudo bot restore /var/backups/bot/bot-backup-20260131T031500Z.tar.gz',
    )
    .action(restore);
}

async function backup({ to, keep, root }: { to?: string; keep?: number; root?: string }): Promise<void> {
  const { backUp } = await import('../../operations/backup.js');
  const { whileInterruptible } = await import('../../operations/interruption.js');
  const { layoutAt } = await import('../../operations/layout.js');
  const { version } = readVersion();
  const made = await whileInterruptible(({ signal }) =>
    backUp({ layout: layoutAt(root), version, directory: to, keep, signal, warn }),
  );
  process.stdout.write(
    `${made.path}\n  ${counted(made.files, 'file')}, ${made.bytes} bytes, SHA-256 ${made.sha256}\n`,
  );
}

const warn = (line: string) => process.stderr.write(`warning: ${line}\n`);

async function restore(file: string, options: OperationOptions & { withLogs?: true }): Promise<void> {
  const { restore: putBack } = await import('../../operations/restore.js');
  await putBack(await installationOf(options), { file, withLogs: options.withLogs });
  process.stdout.write('restored\n');
}
