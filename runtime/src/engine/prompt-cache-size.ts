import { statfs } from 'node:fs/promises';
import { availableMemory, mebibytes } from './memory.js';
import { snapshotFolder } from './sequence-snapshot.js';

const MIB = 2 ** 20;
/** Of the memory that is free once the model is loaded. The rest is for answers, the page cache and other programs. */
const SHARE = 0.25;
const MOST_MIB = 1024;

export interface CacheSize {
  readonly bytes: number;
  /** For people: the size and why. */
  readonly note: string;
}

/** The prompt cache's limit: what is set, or what fits this machine. Ask after the model is loaded. */
export async function promptCacheBytes(setMiB: number | undefined): Promise<CacheSize> {
  const folder = snapshotFolder();
  if (setMiB !== undefined) {
    const note = setMiB === 0 ? 'off, as set' : `${setMiB} MiB in ${folder}, as set`;
    return { bytes: setMiB * MIB, note: `prompt cache: ${note}` };
  }
  const memory = (await availableMemory())?.bytes ?? 0;
  const room = await statfs(folder)
    .then(({ bavail, bsize }) => bavail * bsize)
    .catch(() => 0);
  const bytes = Math.floor(Math.min(memory * SHARE, room / 2, MOST_MIB * MIB));
  return {
    bytes,
    note: `prompt cache: ${mebibytes(bytes)} in ${folder}, of ${mebibytes(memory)} that are free`,
  };
}
