/** The running service as the machine sees it: its processes and the memory they take. Linux, through /proc. */
import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';

import type { Environment } from '../config/environment.js';
import { configFile } from '../config/load.js';

export interface ServiceProcess {
  readonly pid: number;
  /** Resident memory of it and of its children (the engine), in bytes. */
  readonly residentBytes: number;
  readonly engineBytes: number;
}

/**
 * The process `bot serve` with this configuration file, by whatever path or variable it was told of it, of several the
 * newest; undefined where none runs or this user may not see it.
 */
export function findService(file: string): ServiceProcess | undefined {
  const pids = processes();
  const found = pids.filter((candidate) => {
    const served = servedConfig(candidate);
    return served !== undefined && isSameFile(served, file);
  });
  // `sudo node …/cli/bot.js serve` has the same words as what it starts. After a reload, the process before may still end
  // its answers.
  const [pid] = found
    .filter((candidate) => !found.some((other) => parentOf(other) === candidate))
    .sort((one, other) => startOf(other) - startOf(one));
  if (pid === undefined) return undefined;
  const children = pids.filter((candidate) => parentOf(candidate) === pid);
  const engineBytes = children.reduce((sum, child) => sum + resident(child), 0);
  return { pid, engineBytes, residentBytes: resident(pid) + engineBytes };
}

export interface ServedConfig {
  /** Absolute, as the process knows it: in a container, of another file than the one that has this path here. */
  readonly path: string;
  /** The way to the file that the process sees there. */
  readonly seen: string;
}

/** The configuration file of a `bot serve`; undefined for another process, or one that this user may not see. */
export function servedConfig(pid: number): ServedConfig | undefined {
  const words = read(pid, 'cmdline').split('\0').slice(0, -1);
  const bot = words.findIndex((word) => word.endsWith('cli/bot.js'));
  if (bot === -1 || words[bot + 1] !== 'serve') return undefined;
  const flag = configFlag(words.slice(bot + 2));
  const environment = environmentOf(pid);
  if (flag === undefined && environment === undefined) return undefined;
  const file = configFile(flag, environment ?? {});
  if (isAbsolute(file)) return { path: file, seen: `/proc/${pid}/root${file}` };
  const path = fromFolderOf(pid, file);
  return path === undefined ? undefined : { path, seen: `/proc/${pid}/cwd/${file}` };
}

/** Whether a process serves this file. Where that cannot be looked at, its path has to do. */
export function isSameFile({ path, seen }: ServedConfig, file: string): boolean {
  const [there, here] = [identity(seen), identity(file)];
  if (there === undefined || here === undefined || (there === ABSENT && here === ABSENT)) {
    return canonical(path) === canonical(file);
  }
  return there === here;
}

/** What the process was started with; undefined of another user's, which cannot be read: no process is without any. */
export function environmentOf(pid: number): Environment | undefined {
  const lines = read(pid, 'environ').split('\0').slice(0, -1);
  if (lines.length === 0) return undefined;
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** As the command reads it: the last one counts. */
function configFlag(words: readonly string[]): string | undefined {
  const flag = '--config';
  const at = words.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`));
  return words[at] === flag ? words[at + 1] : words[at]?.slice(flag.length + 1);
}

function fromFolderOf(pid: number, path: string): string | undefined {
  try {
    return join(readlinkSync(`/proc/${pid}/cwd`), path);
  } catch {
    return undefined;
  }
}

const ABSENT = 'absent';

/** The same for each path to a file, through whichever mounts; undefined where this user may not look. */
function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? ABSENT : undefined;
  }
}

/** One name for a file that can be reached by several. */
function canonical(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // It is gone, or this user may not follow it.
    return resolve(path);
  }
}

function processes(): readonly number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(read(pid, 'status'))?.[1]);
}

/** In ticks since the machine's start. */
function startOf(pid: number): number {
  // Behind the program's name, which may hold anything: the 22nd field of proc(5)'s stat, of which two came before.
  const fields = read(pid, 'stat').split(') ').at(-1)?.split(' ');
  return Number(fields?.[19] ?? 0);
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
