/**
 * A private folder beside what is being made. One that a killed process or a power cut leaves behind goes when the next
 * is made, and one in use stays: it shows signs of life. (A process id would not do: the folder can be another machine's,
 * on a shared disk.)
 */
import { mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

const PREFIX = '.staging-';
const SIGN_OF_LIFE_MS = 20_000;
/** After so long without a sign of life nobody uses it: not a process that was stopped (Ctrl-Z) for a moment either. */
const ABANDONED_MS = 10 * 60_000;

export async function withStaging<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  await removeAbandoned(parent);
  const folder = await mkdtemp(join(parent, PREFIX));
  const timer = setInterval(() => {
    const now = new Date();
    void utimes(folder, now, now).catch(() => undefined);
  }, SIGN_OF_LIFE_MS);
  try {
    return await work(folder);
  } finally {
    clearInterval(timer);
    await rm(folder, { recursive: true, force: true });
  }
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!/^\.staging-\w{6}$/.test(name)) continue;
    const folder = join(parent, name);
    // Another process may have removed it by now.
    const age = await stat(folder).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > ABANDONED_MS) await rm(folder, { recursive: true, force: true });
  }
}
