/** Reads the service's log over its rotations: bot.log, bot.log.1, bot.log.2.gz … */
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';

import type { LogLevel } from '../log/logger.js';

const LOG = 'bot.log';
const POLL_MS = 300;
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

/** Writes new lines as they come, over rotations, until the process ends. */
export async function followLog(
  directory: string,
  filter: LogFilter,
  from: LogPosition,
  write: (line: string) => void,
): Promise<never> {
  const path = join(directory, LOG);
  let { inode, offset } = from;
  let rest = '';
  for (;;) {
    const file = await open(path).catch(() => undefined);
    if (file !== undefined) {
      try {
        const { ino, size } = await file.stat();
        // Rotated away: what came last is in a file of another name by now, and was read a moment ago.
        if (ino !== inode || size < offset) [inode, offset, rest] = [ino, 0, ''];
        if (size > offset) {
          const { bytesRead, buffer } = await file.read(
            Buffer.alloc(size - offset),
            0,
            size - offset,
            offset,
          );
          offset += bytesRead;
          const lines = (rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
          rest = lines.pop() ?? '';
          lines.filter((line) => matches(line, filter)).forEach(write);
        }
      } finally {
        await file.close();
      }
    }
    await sleep(POLL_MS);
  }
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

function matches(line: string, { levels, since }: LogFilter): boolean {
  const match = LINE.exec(line);
  if (match === null) return levels === undefined && since === undefined;
  const [, day = '', clock = '', level = ''] = match;
  if (levels !== undefined && !levels.includes(level as LogLevel)) return false;
  return since === undefined || Date.parse(`${day}T${clock}Z`) >= since.getTime() - 999;
}
