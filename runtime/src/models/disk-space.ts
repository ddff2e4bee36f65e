import { statfs } from 'node:fs/promises';

import { ModelError } from './errors.js';
import { megabytes } from './progress.js';

/** What is to stay free, in bytes: a disk that is full to the last block breaks other things. */
const RESERVE = 64 * 1024 ** 2;

/** @throws ModelError NO_SPACE where fewer than `bytes` and a reserve are free in `folder`'s file system */
export async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes + RESERVE) return;
  throw new ModelError(
    'NO_SPACE',
    `${folder} has ${megabytes(free)} free, ${megabytes(bytes + RESERVE)} are needed`,
    'free some room, or put the cache elsewhere with XDG_CACHE_HOME',
  );
}
