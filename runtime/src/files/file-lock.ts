/** One writer at a time among processes: the service and the commands change the same files. */
import { setTimeout as sleep } from 'node:timers/promises';

/** After so many milliseconds without a sign of life from its owner, a lock counts as left behind by a crash. */
const STALE_MS = 5000;
const RETRY_MS = 30;
/** Longer than a crashed owner's lock lives. */
const PATIENCE_MS = 10_000;

/** Of each path, the end of those in this process that wait for it. */
const lastInLine = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while nobody else holds the lock of `path`; within this process, in the order of the calls.
 * @throws Error when another process does not give it back in 10 s
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const before = lastInLine.get(path);
  const turn = (async () => {
    await before?.catch(() => undefined);
    return holdingLock(path, work);
  })();
  lastInLine.set(path, turn);
  try {
    return await turn;
  } finally {
    if (lastInLine.get(path) === turn) lastInLine.delete(path);
  }
}

async function holdingLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  // Loaded only where something is changed, which is rare.
  const { default: lockfile } = await import('proper-lockfile');
  const deadline = Date.now() + PATIENCE_MS;
  let release: (() => Promise<void>) | undefined;
  while (release === undefined) {
    try {
      release = await lockfile.lock(path, {
        realpath: false,
        stale: STALE_MS,
        onCompromised: () => undefined,
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error;
      if (Date.now() > deadline) {
        throw new Error(`${path} is being changed by another process for ${PATIENCE_MS / 1000} s already`, {
          cause: error,
        });
      }
      await sleep(RETRY_MS);
    }
  }
  try {
    return await work();
  } finally {
    await release().catch(() => undefined);
  }
}
