/** Notices that a file was changed, replaced, made or removed. */
import { stat } from 'node:fs/promises';

/** Well under the second in which a change must work; a look costs some 50 microseconds. */
const INTERVAL_MS = 400;

/**
 * Calls back within half a second of a change, and once at the beginning: what changed before the first look would go
 * unseen otherwise (as it does with fs.watchFile). Returns a function that stops it. Keeps no process alive.
 */
export function followFile(path: string, onChange: () => void): () => void {
  let seen: string | undefined;
  const timer = setInterval(() => {
    void stat(path, { bigint: true })
      .then(
        ({ ino, size, mtimeNs, ctimeNs }) => [ino, size, mtimeNs, ctimeNs].join(),
        () => 'not there',
      )
      .then((found) => {
        const isChanged = found !== seen;
        seen = found;
        if (isChanged) onChange();
      });
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
