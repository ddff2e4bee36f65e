/** Puts the files of a model among the machine's others. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { sha256Of } from '../models/cache.js';
import { partsOf } from '../models/gguf-parts.js';
import { megabytes } from '../models/progress.js';
import { isThere } from './backup.js';
import type { Installation } from './installation.js';

/** Stays free on the disk, in bytes. */
const RESERVE = 256 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

export interface AmongModels {
  /** Of the model there; of the first part where it is in several. */
  readonly path: string;
  /** What was not there before. */
  readonly copies: readonly string[];
}

interface Copy {
  readonly source: string;
  readonly target: string;
}

/**
 * The service sees neither /home nor /tmp, and a model must not vanish under it: it is copied to the others.
 *
 * @param signal ends it; nothing is left of it then
 */
export async function amongModels(
  { layout, say }: Pick<Installation, 'layout' | 'say'>,
  file: string,
  signal: AbortSignal,
): Promise<AmongModels> {
  await mkdir(layout.models, { recursive: true });
  const folder = await realpath(layout.models);
  const parts = partsOf(file);
  // A part is found by its name; a whole model that is a link (to a cache, say) takes the name of what is there.
  const nameOf = (path: string, source: string) => basename(parts.length > 1 ? path : source);
  const all = await Promise.all(
    parts.map(async (path): Promise<Copy> => {
      const source = await realpath(path);
      return { source, target: join(folder, nameOf(path, source)) };
    }),
  );
  const missing: Copy[] = [];
  for (const each of all) if (!(await isThereAlready(each, signal))) missing.push(each);
  await checkRoom(layout.models, missing);
  const copies: string[] = [];
  try {
    for (const { source, target } of missing) {
      say(`copying to ${target}`);
      await copyWhole(source, target, signal);
      copies.push(target);
    }
    signal.throwIfAborted();
  } catch (error) {
    await removeFiles(copies);
    throw error;
  }
  return { path: join(layout.models, basename(all[0]?.target ?? file)), copies };
}

export async function removeFiles(paths: readonly string[]): Promise<void> {
  await Promise.all(paths.map((path) => rm(path, { force: true })));
}

/** @throws Error where another file has its name */
async function isThereAlready({ source, target }: Copy, signal: AbortSignal): Promise<boolean> {
  if (source === target) return true;
  if (!(await isThere(target))) return false;
  if ((await sha256Of(target, signal)) === (await sha256Of(source, signal))) return true;
  throw new Error(
    `${target} is another model of the same name; rename ${source}, or remove that one if nobody uses it`,
  );
}

async function checkRoom(folder: string, copies: readonly Copy[]): Promise<void> {
  if (copies.length === 0) return;
  const { bavail, bsize } = await statfs(folder);
  const sizes = await Promise.all(copies.map(async ({ source }) => (await stat(source)).size));
  const needed = sizes.reduce((sum, size) => sum + size, RESERVE);
  if (bavail * bsize >= needed) return;
  throw new Error(
    `${folder} has ${megabytes(bavail * bsize)} free, ${megabytes(needed)} are needed; remove a model`,
  );
}

async function copyWhole(source: string, target: string, signal: AbortSignal): Promise<void> {
  const partial = `${target}.partial`;
  try {
    // Not copyFile, which nothing ends.
    await pipeline(
      createReadStream(source, { highWaterMark: CHUNK_BYTES }),
      createWriteStream(partial, { highWaterMark: CHUNK_BYTES }),
      { signal },
    );
    const copy = await open(partial, 'r+');
    await copy.chmod(0o644);
    await copy.sync();
    await copy.close();
    if ((await sha256Of(partial, signal)) !== (await sha256Of(source, signal)))
      throw new Error(`${source} changed while it was copied`);
    await rename(partial, target);
  } finally {
    await rm(partial, { force: true });
  }
}
