/** Goes on with the service's log where reading it ended, over its rotations. */
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { LOG, matches, type LogFilter, type LogPosition } from './log-reader.js';

const POLL_MS = 300;
/** The service notices within a second that its file has another name now, and writes to that one until then. */
const LEAVE_AFTER_MS = 10_000;

/** Writes new lines as they come, until the signal. */
export async function followLog(
  directory: string,
  filter: LogFilter,
  from: LogPosition,
  write: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const path = join(directory, LOG);
  const show = (line: string) => {
    if (matches(line, filter)) write(line);
  };
  /** The oldest first. */
  let files: OpenLog[] = [];
  try {
    const first = await openWhereItIs(directory, from);
    if (first !== undefined) files.push(first);
    while (signal?.aborted !== true) {
      const inode = await stat(path).then(
        ({ ino }) => ino,
        () => undefined,
      );
      if (inode !== undefined && files.at(-1)?.inode !== inode) {
        const next = await OpenLog.open(path);
        if (next !== undefined) files.push(next);
      }
      for (const file of files) await file.read(show);
      for (const file of files.slice(0, -1)) {
        if (!file.hasEnded()) continue;
        await file.close(show);
        files = files.filter((other) => other !== file);
      }
      await sleep(POLL_MS);
    }
  } finally {
    for (const file of files) await file.close(show);
  }
}

/** It may have been rotated away since. */
async function openWhereItIs(
  directory: string,
  { inode, offset }: LogPosition,
): Promise<OpenLog | undefined> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(LOG))) {
    const file = await OpenLog.open(join(directory, name), offset);
    if (file?.inode === inode) return file;
    await file?.close(() => undefined);
  }
  return undefined;
}

/** One file of the log, whatever its name becomes. */
class OpenLog {
  #rest = '';
  #readLast = Date.now();

  private constructor(
    readonly inode: number,
    readonly file: FileHandle,
    private offset: number,
  ) {}

  static async open(path: string, offset = 0): Promise<OpenLog | undefined> {
    const file = await open(path).catch(() => undefined);
    return file === undefined ? undefined : new OpenLog((await file.stat()).ino, file, offset);
  }

  /** Nothing has come for so long that nothing will. */
  hasEnded(): boolean {
    return Date.now() - this.#readLast > LEAVE_AFTER_MS;
  }

  /** What came since the last time, whole lines only. */
  async read(show: (line: string) => void): Promise<void> {
    const { size } = await this.file.stat();
    // Emptied in place.
    if (size < this.offset) [this.offset, this.#rest] = [0, ''];
    if (size === this.offset) return;
    const length = size - this.offset;
    const { bytesRead, buffer } = await this.file.read(Buffer.alloc(length), 0, length, this.offset);
    this.offset += bytesRead;
    this.#readLast = Date.now();
    const lines = (this.#rest + buffer.toString('utf8', 0, bytesRead)).split('\n');
    this.#rest = lines.pop() ?? '';
    lines.forEach(show);
  }

  async close(show: (line: string) => void): Promise<void> {
    if (this.#rest !== '') show(this.#rest);
    await this.file.close();
  }
}
