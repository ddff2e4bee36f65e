/** File systems that are mounted below a folder: nothing there may be removed before they are gone. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Where they are mounted, the last mounted first. */
export function mountsBelow(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
    .reverse();
}

/** Returns where one could not be unmounted. */
export function unmountBelow(folder: string): string[] {
  for (const path of mountsBelow(folder)) spawnSync('umount', ['--lazy', path]);
  return mountsBelow(folder);
}
