/** Notices that the `npm run` around this process is gone, which nobody tells it when npm is killed. */
import { readFileSync } from 'node:fs';

const INTERVAL_MS = 500;

/** Calls `onGone` once. Does nothing outside `npm run`: a service left behind on purpose (nohup) goes on. */
export function watchNpm(env: NodeJS.ProcessEnv, onGone: () => void): void {
  if (env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  // npm starts a shell, which may stay between the two.
  const grandparent = parentOf(parent);
  const timer = setInterval(() => {
    if (process.ppid === parent && parentOf(parent) === grandparent) return;
    clearInterval(timer);
    onGone();
  }, INTERVAL_MS);
  timer.unref();
}

/** Through Linux's /proc; elsewhere undefined, and only the direct parent is watched. */
function parentOf(pid: number): number | undefined {
  try {
    // `pid (name) state ppid …`: the name may hold spaces and parentheses.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
    return Number(fields?.[1]);
  } catch {
    return undefined;
  }
}
