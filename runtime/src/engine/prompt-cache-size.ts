import { statfs } from 'node:fs/promises';
import { availableMemory, mebibytes } from './memory.js';
import type { MemoryPlan } from './memory-plan.js';
import type { ModelSettings } from './options.js';
import { snapshotFolder } from './sequence-snapshot.js';

const MIB = 2 ** 20;
/**
 * 8,500 tokens of the default model, 6,000 of a 1B model, beside what eight sequences hold: more is seldom asked for again,
 * and others want memory, too.
 */
const MOST_MIB = 192;

export interface CacheSize {
  readonly bytes: number;
  /** For people: the size and why. */
  readonly note: string;
}

/** The prompt cache's limit: what is set, or what fits this machine. Ask after the model is loaded. */
export async function promptCacheBytes(
  { promptCacheMiB: setMiB, promptCacheShare: share }: ModelSettings,
  { reservedBytes, returningBytes, promisedBytes = 0 }: MemoryPlan,
): Promise<CacheSize> {
  const folder = snapshotFolder();
  if (setMiB !== undefined) {
    const note = setMiB === 0 ? 'off, as set' : `${setMiB} MiB in ${folder}, as set`;
    return { bytes: setMiB * MIB, note: `prompt cache: ${note}` };
  }
  const available = (await availableMemory())?.bytes ?? 0;
  const memory = Math.max(0, available + returningBytes - reservedBytes - promisedBytes);
  const room = await statfs(folder)
    .then(({ bavail, bsize }) => bavail * bsize)
    .catch(() => 0);
  const bytes = Math.floor(Math.min(memory * share, room / 2, MOST_MIB * MIB));
  return {
    bytes,
    note: `prompt cache: ${mebibytes(bytes)} in ${folder}, of ${mebibytes(memory)} that are free`,
  };
}
