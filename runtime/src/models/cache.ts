/** The per-user cache: `<cache>/<sha256>/<file name>`, and `<cache>/.partial/` for what is still on its way. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { ModelError, systemCode } from './errors.js';
import type { Pin } from './pins.js';

/** `$XDG_CACHE_HOME/botstack/models`, by default under ~/.cache. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'botstack', 'models');
}

/** The user's own lock file, beside the cache: `$XDG_CACHE_HOME/botstack/models.lock.json` by default. */
export function userLockFile(cacheDir: string): string {
  return `${cacheDir}.lock.json`;
}

/** What a source's unfinished download is called: the same in every run, so that it can go on. */
export function partialPath(cacheDir: string, key: string): string {
  return join(cacheDir, '.partial', createHash('sha256').update(key).digest('hex').slice(0, 16));
}

/** @throws ModelError CACHE_NOT_WRITABLE */
export async function prepareCache(cacheDir: string): Promise<void> {
  try {
    await mkdir(join(cacheDir, '.partial'), { recursive: true });
  } catch (error) {
    throw new ModelError(
      'CACHE_NOT_WRITABLE',
      `the model cache ${cacheDir} cannot be made (${systemCode(error)})`,
      'make it yours, or put it elsewhere with XDG_CACHE_HOME',
      { cause: error },
    );
  }
}

/**
 * The cached file that a pin names, if it is whole. A file changed since it was last checked is hashed again, and
 * removed if it is no longer what it should be.
 */
export async function findCached(cacheDir: string, fileName: string, pin: Pin): Promise<string | undefined> {
  const file = join(cacheDir, pin.sha256, fileName);
  const before = await stamp(file);
  if (before === undefined) return undefined;
  const checked = await readFile(checkedFile(file), 'utf8').catch(() => '');
  if (checked === before) return file;
  if ((await sha256Of(file)) === pin.sha256) {
    // A cache that can only be read still serves; it is hashed each time.
    await writeFile(checkedFile(file), before).catch(() => undefined);
    return file;
  }
  await removeCached(file);
  return undefined;
}

/** Moves a finished and checked download to its place. */
export async function keepInCache(
  cacheDir: string,
  from: string,
  fileName: string,
  pin: Pin,
): Promise<string> {
  const file = join(cacheDir, pin.sha256, fileName);
  await mkdir(join(cacheDir, pin.sha256), { recursive: true });
  await rename(from, file);
  await writeFile(checkedFile(file), (await stamp(file)) ?? '');
  return file;
}

async function removeCached(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(checkedFile(file), { force: true });
}

/** Holds the stamp under which the file's hash was last right. */
const checkedFile = (file: string) => `${file}.checked`;

async function stamp(file: string): Promise<string | undefined> {
  try {
    const { size, mtimeMs } = await stat(file);
    return `${size} ${mtimeMs}\n`;
  } catch {
    return undefined;
  }
}

export async function sha256Of(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash, { signal });
  return hash.digest('hex');
}
