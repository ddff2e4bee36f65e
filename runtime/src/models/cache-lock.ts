/** Two pulls of one source at once: the second waits, then finds the file. */
import { setTimeout as sleep } from 'node:timers/promises';

import lockfile from 'proper-lockfile';

import { systemCode } from './errors.js';
import { aborted } from './http.js';

/** After so many milliseconds without a sign of life from its owner, a lock counts as left behind by a crash. */
const STALE = 10_000;

export async function whileLocked<T>(
  path: string,
  options: { readonly signal?: AbortSignal; note?: (text: string) => void },
  work: () => Promise<T>,
): Promise<T> {
  let told = false;
  let release: (() => Promise<void>) | undefined;
  while (release === undefined) {
    if (options.signal?.aborted) throw aborted();
    try {
      release = await lockfile.lock(path, { realpath: false, stale: STALE, onCompromised: () => undefined });
    } catch (error) {
      if (systemCode(error) !== 'ELOCKED') throw error;
      if (!told) options.note?.('another process is fetching this model, waiting for it');
      told = true;
      await sleep(300, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
  try {
    return await work();
  } finally {
    await release().catch(() => undefined);
  }
}
