/** The running service as the machine sees it: its processes and the memory they take. Linux, through /proc. */
import { readdirSync, readFileSync } from 'node:fs';

export interface ServiceProcess {
  readonly pid: number;
  /** Resident memory of it and of its children (the engine), in bytes. */
  readonly residentBytes: number;
  readonly engineBytes: number;
}

/** The process `bot serve` with this configuration file; undefined where none runs or this user may not see it. */
export function findService(configFile: string): ServiceProcess | undefined {
  const pids = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
  const pid = pids.find((candidate) => {
    const words = read(candidate, 'cmdline').split('\0');
    return (
      words.includes('serve') &&
      words.includes(configFile) &&
      words.some((word) => word.endsWith('cli/bot.js'))
    );
  });
  if (pid === undefined) return undefined;
  const children = pids.filter((candidate) => parentOf(candidate) === pid);
  const engineBytes = children.reduce((sum, child) => sum + resident(child), 0);
  return { pid, engineBytes, residentBytes: resident(pid) + engineBytes };
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(read(pid, 'status'))?.[1]);
}

function resident(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(pid, 'status'))?.[1] ?? 0) * 1024;
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It ended in the meantime, or belongs to somebody else.
    return '';
  }
}
