/** The processes of one run of a command, by the temporary folder that it was given. Linux: they are looked up in /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

/** Enough for the kernel to end what was killed, on a machine with much else to do. */
const LONGEST_END_MS = 10_000;

/** Every process whose environment names the folder, wherever it stands in the tree by now, and whether or not the folder is there. */
export function processesOf(folder: string): FoundProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        if (!readFileSync(`/proc/${name}/environ`, 'utf8').includes(folder)) return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return [{ pid: Number(name), command }];
      } catch {
        // Ended in the meantime, or somebody else's.
        return [];
      }
    });
}

/** Resolves when there are none: those too that others started while these were killed. @throws where some are left after 10 s */
export async function killAllOf(folder: string): Promise<void> {
  const deadline = Date.now() + LONGEST_END_MS;
  // Twice: one that is just being started has no environment for a moment.
  for (let emptyLooks = 0; emptyLooks < 2;) {
    const left = processesOf(folder);
    emptyLooks = left.length === 0 ? emptyLooks + 1 : 0;
    if (Date.now() > deadline)
      throw new Error(`not to be ended: ${left.map(({ command }) => command).join('; ')}`);
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Ended by itself in the meantime.
      }
    }
    await sleep(20);
  }
}
