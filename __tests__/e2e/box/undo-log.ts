/**
 * What this run changed on the machine, and how to take it back.
 *
 * Each change is written to `undo.jsonl` in the run folder before (or the moment) it is made, as data and not as
 * a closure. So the same list serves a normal end, Ctrl-C, a failure, `--down` of a run that was kept, and the
 * remains of a run that was killed with SIGKILL: whoever holds the file can play it back.
 */
import {
  appendFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity, signalGroup } from './process-identity';

export type UndoStep =
  /** A command that removes what was made; a failure is reported, not fatal. */
  | { kind: 'command'; argv: string[] }
  /** A process group started by this run: SIGTERM, then SIGKILL after `graceMs`. */
  | { kind: 'process'; process: ProcessIdentity; name: string; graceMs: number }
  /** Control groups of a guest: every process in them is killed, then the groups are removed. */
  | { kind: 'cgroups'; paths: string[] }
  /** A file or folder. Never crosses into a mounted file system: mounts are undone by a `command` before. */
  | { kind: 'remove'; path: string };

export class UndoLog {
  #closed = false;

  constructor(readonly file: string) {}

  /** Records how to take back a change. Throws once the play-back has begun: nothing may be made after that. */
  add(step: UndoStep): void {
    if (this.#closed) throw new Error('the run is being taken down: nothing more may be started');
    appendFileSync(this.file, JSON.stringify(step) + '\n');
  }

  /**
   * Plays the list back, the last change first. Returns what could not be undone (one line each); that stays in
   * the file for the next attempt.
   */
  rollBack(): string[] {
    this.#closed = true;
    const problems: string[] = [];
    const left: string[] = [];
    if (!existsSync(this.file)) return problems;
    const steps = readFileSync(this.file, 'utf8').split('\n').filter(Boolean);
    for (const line of steps.reverse()) {
      const step = parsed(line);
      const problem = step && undo(step);
      if (problem === undefined) continue;
      problems.push(problem);
      left.unshift(line);
    }
    writeFileSync(this.file, left.map((line) => line + '\n').join(''));
    return problems;
  }
}

/** Undefined for the last line of a run that was killed while it wrote. */
function parsed(line: string): UndoStep | undefined {
  try {
    return JSON.parse(line) as UndoStep;
  } catch {
    return undefined;
  }
}

function undo(step: UndoStep): string | undefined {
  switch (step.kind) {
    case 'command': {
      const { status, stderr } = spawnSync(step.argv[0] ?? '', step.argv.slice(1), {
        encoding: 'utf8',
        timeout: 20_000,
      });
      return status === 0 ? undefined : `${step.argv.join(' ')}: ${(stderr || `status ${status}`).trim()}`;
    }
    case 'process':
      return stopProcess(step.process, step.name, step.graceMs);
    case 'cgroups':
      return removeControlGroups(step.paths);
    case 'remove':
      rmSync(step.path, { recursive: true, force: true });
      return undefined;
  }
}

/** Blocks without a busy loop: the play-back is synchronous, so that nothing else of this run can run meanwhile. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function waitUntil(done: () => boolean, milliseconds: number): boolean {
  const end = Date.now() + milliseconds;
  while (!done()) {
    if (Date.now() > end) return false;
    sleep(25);
  }
  return true;
}

function stopProcess(process: ProcessIdentity, name: string, graceMs: number): string | undefined {
  if (!isAlive(process)) return undefined;
  signalGroup(process, 'SIGTERM');
  if (waitUntil(() => !isAlive(process), graceMs)) return undefined;
  signalGroup(process, 'SIGKILL');
  return waitUntil(() => !isAlive(process), 5_000)
    ? undefined
    : `${name} (process ${process.pid}) did not end`;
}

function removeControlGroups(paths: string[]): string | undefined {
  const present = paths.filter((path) => existsSync(path));
  const empty = waitUntil(() => {
    const members = present.flatMap(processesBelow);
    for (const pid of members) kill(pid);
    return members.length === 0;
  }, 10_000);
  const problems = present.flatMap(removeTree);
  return empty && problems.length === 0 ? undefined : `control groups left: ${problems.join(', ')}`;
}

function processesBelow(group: string): number[] {
  const own = readLines(join(group, 'cgroup.procs')).map(Number);
  return [...own, ...groupsIn(group).flatMap(processesBelow)];
}

function removeTree(group: string): string[] {
  const problems = groupsIn(group).flatMap(removeTree);
  // A group stays busy for a moment after its last process died.
  const removed = waitUntil(() => {
    try {
      rmdirSync(group);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
  }, 2_000);
  return removed ? problems : [...problems, group];
}

function groupsIn(group: string): string[] {
  try {
    return readdirSync(group, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(group, entry.name));
  } catch {
    return [];
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}
