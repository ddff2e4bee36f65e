/** Reads the service's log over its rotations: bot.log, bot.log.1, bot.log.2.gz … */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';

import type { LogLevel } from '../log/logger.js';

export const LOG = 'bot.log';
const LINE = /^\[(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\] \[(\w{3})\] /;

export interface LogFilter {
  readonly levels: readonly LogLevel[] | undefined;
  readonly since: Date | undefined;
}

export interface LogPosition {
  readonly inode: number;
  readonly offset: number;
}

/** Writes the matching lines, oldest first; with `most`, the newest of them only. Resolves to where it ended. */
export async function readLog(
  directory: string,
  filter: LogFilter,
  most: number | undefined,
  write: (line: string) => void,
): Promise<{ readonly end: LogPosition }> {
  const current = await stat(join(directory, LOG)).catch(() => undefined);
  const size = current?.size ?? 0;
  const kept: string[] = [];
  for (const file of await rotated(directory, filter.since)) {
    for await (const line of linesOf(join(directory, file), file === LOG ? size : undefined)) {
      if (!matches(line, filter)) continue;
      if (most === undefined) write(line);
      else if (kept.push(line) > most) kept.shift();
    }
  }
  kept.forEach(write);
  return { end: { inode: current?.ino ?? 0, offset: size } };
}

/** Oldest first; those that were written last before `since` are left out. */
async function rotated(directory: string, since: Date | undefined): Promise<readonly string[]> {
  const names = (await readdir(directory)).filter((name) => /^bot\.log(\.\d+(\.gz)?)?$/.test(name));
  const files = await Promise.all(
    names.map(async (name) => ({ name, mtimeMs: (await stat(join(directory, name))).mtimeMs })),
  );
  const number = (name: string) => Number(/\.(\d+)/.exec(name)?.[1] ?? 0);
  return files
    .filter(({ mtimeMs }) => since === undefined || mtimeMs >= since.getTime() - 1000)
    .map(({ name }) => name)
    .sort((a, b) => number(b) - number(a));
}

function linesOf(path: string, end: number | undefined): AsyncIterable<string> {
  const bytes = createReadStream(path, end === undefined || end === 0 ? {} : { end: end - 1 });
  const text = path.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  return createInterface({ input: text, crlfDelay: Infinity });
}

/** A line that continues another has no level and no time of its own. */
export function matches(line: string, { levels, since }: LogFilter): boolean {
  const match = LINE.exec(line);
  if (match === null) return levels === undefined && since === undefined;
  const [, day = '', clock = '', level = ''] = match;
  if (levels !== undefined && !levels.includes(level as LogLevel)) return false;
  return since === undefined || Date.parse(`${day}T${clock}Z`) >= since.getTime() - 999;
}
