/** `bot logs`: the service's log, rotated files too. */
import { InvalidArgumentError, type Command } from 'commander';

import { LOG_LEVELS, type LogLevel } from '../../log/logger.js';
import { CONFIG_FLAG, installedAt, parseCount, ROOT_FLAG } from './operation-options.js';

interface LogFlags {
  readonly config?: string;
  readonly root?: string;
  readonly follow?: true;
  readonly level?: readonly LogLevel[];
  readonly since?: Date;
  readonly lines?: number;
}

const DEFAULT_LINES = 100;

export function registerLogs(program: Command): void {
  program
    .command('logs')
    .description(`print the service's log: its last ${DEFAULT_LINES} lines, or all since a time`)
    .option('-f, --follow', 'go on with new lines until Ctrl-C')
    .option('--level <list>', `only these levels: ${LOG_LEVELS.join(', ')}`, parseLevels)
    .option(
      '--since <time>',
      'only lines from then on: 30s, 15min, 2h, 7d, or 2026-01-31 or 2026-01-31T10:00Z',
      parseSince,
    )
    .option('-n, --lines <number>', 'at most so many of them, the newest', parseCount)
    .option(...CONFIG_FLAG)
    .option(...ROOT_FLAG)
    .addHelpText('after', '\nExamples:\n  sudo bot logs --follow\n  sudo bot logs --level ERR,SEC --since 2h')
    .action(logs);
}

async function logs({ follow, level, since, lines, ...where }: LogFlags): Promise<void> {
  const { readLog } = await import('../../operations/log-reader.js');
  const { followLog } = await import('../../operations/log-follower.js');
  const { installedConfig } = await import('../../operations/installation.js');
  const installed = await installedAt(where);
  const directory = installedConfig(installed).logging.directory;
  if (directory === undefined) {
    throw new Error('the configuration names no `logging.directory`; the log is in: sudo journalctl -u bot');
  }
  const filter = { levels: level, since };
  const most = lines ?? (since === undefined ? DEFAULT_LINES : undefined);
  const write = (line: string) => process.stdout.write(`${line}\n`);
  // Nobody reads any more.
  process.stdout.on('error', () => process.exit());
  const { end } = await readLog(directory, filter, most, write);
  if (follow === true) await followLog(directory, filter, end, write);
}

function parseLevels(value: string): readonly LogLevel[] {
  const levels = value.split(',').map((level) => level.trim().toUpperCase());
  const isLevel = (text: string): text is LogLevel => (LOG_LEVELS as readonly string[]).includes(text);
  if (levels.every(isLevel)) return levels;
  throw new InvalidArgumentError(`Allowed: one or more of ${LOG_LEVELS.join(', ')}, separated by commas.`);
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };

function parseSince(value: string): Date {
  const match = /^(\d{1,6})(s|min|h|d)$/.exec(value);
  if (match !== null)
    return new Date(Date.now() - Number(match[1]) * (UNIT_SECONDS[match[2] ?? ''] ?? 0) * 1000);
  const time = new Date(value);
  if (/^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('Allowed: 30s, 15min, 2h, 7d, or a time such as 2026-01-31T10:00Z.');
}
