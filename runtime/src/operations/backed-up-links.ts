/**
 * Links among the settings, such as certbot's to a certificate: a backup holds what they lead to, under their name, and
 * has no links, so that a restore writes nowhere else. Only among the settings, which are root's: a link in a folder
 * that the service may write to could lead root to anybody's file.
 */
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { systemCode } from '../models/errors.js';
import { mustRun } from './run-command.js';

interface Options {
  readonly warn: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * @param copied a copy of `original`, with its links as they are
 * @throws Error for a link to what is no file
 */
export async function replaceLinks(original: string, copied: string, options: Options): Promise<void> {
  // Never through a link: that would lead out of the copy, into what it is a copy of.
  if (!(await lstat(copied)).isDirectory()) return;
  for (const name of await readdir(copied)) {
    const link = join(original, name);
    const copy = join(copied, name);
    if ((await lstat(copy)).isSymbolicLink()) await replaceLink(link, copy, options);
    else await replaceLinks(link, copy, options);
  }
}

async function replaceLink(link: string, copy: string, { warn, signal }: Options): Promise<void> {
  const target = await stat(link).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (target?.isFile() === false)
    throw new Error(`${link} is a link to what is no file; remove it, or put there what it leads to`);
  // First: cp would write to where it leads.
  await rm(copy);
  if (target === undefined) {
    warn(`${link} is a link to nothing, and not in the backup`);
    return;
  }
  const copying = ['cp', '-L', '--preserve=mode,ownership,timestamps', '--', link, copy];
  await mustRun(copying, `copying ${link}`, { signal });
}
