import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves, or rejects, with the first of these; resolves after `ms` at the latest. Keeps the process alive for so long, and no longer. */
export async function orAfter(ms: number, ...first: readonly Promise<unknown>[]): Promise<void> {
  const over = new AbortController();
  const limit = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  try {
    await Promise.race([...first, limit]);
  } finally {
    over.abort();
  }
}
