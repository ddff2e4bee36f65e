/** The control groups that give a guest its size: cgroup v1 (per controller) and v2 (one tree). */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { UndoLog } from './undo-log';

const MOUNT = '/sys/fs/cgroup';
const PERIOD_MICROSECONDS = 100_000;

export interface GuestSize {
  cpus: number;
  memoryMiB: number;
}

export interface ControlGroups {
  /** Every group the guest's first process has to enter (one per controller with v1, one with v2). */
  paths: string[];
  /** What the guest has to do about its own mounts: see first-process.sh. */
  mode: 'hybrid' | 'unified';
}

/** Makes the groups of one guest, with their limits, and records how to end what runs in them. */
export function createControlGroups(name: string, size: GuestSize, undo: UndoLog): ControlGroups {
  const groups = existsSync(join(MOUNT, 'cgroup.controllers')) ? unified(name, size) : hybrid(name, size);
  undo.add({ kind: 'cgroups', paths: groups.paths });
  return groups;
}

/** The memory group of a guest: what its kernel figure is read from. */
export function memoryGroup(groups: ControlGroups): string {
  return (
    groups.paths.find((path) => groups.mode === 'unified' || path.startsWith(join(MOUNT, 'memory'))) ?? ''
  );
}

function hybrid(name: string, { cpus, memoryMiB }: GuestSize): ControlGroups {
  // Beside this process, wherever it is: in a container only that part of the hierarchy may be written.
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const folders = new Map<string, string>();
  for (const line of own) {
    const [, controller = '', ...path] = line.split(':');
    const folder = controller === '' ? 'unified' : controller.replace(/^name=/, '');
    const group = join(MOUNT, folder, path.join(':'), name);
    if (!existsSync(join(MOUNT, folder))) continue;
    mkdirSync(group, { recursive: true });
    folders.set(folder, group);
  }
  const set = (controller: string, file: string, value: string): void => {
    for (const [folder, group] of folders) {
      if (folder.split(',').includes(controller)) writeFileSync(join(group, file), value);
    }
  };
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    set('cpuset', file, readFileSync(join(MOUNT, 'cpuset', file), 'utf8'));
  }
  set('cpuset', 'cgroup.clone_children', '1');
  set('memory', 'memory.limit_in_bytes', String(memoryMiB * 1024 * 1024));
  set('cpu', 'cpu.cfs_period_us', String(PERIOD_MICROSECONDS));
  set('cpu', 'cpu.cfs_quota_us', String(cpus * PERIOD_MICROSECONDS));
  return { paths: [...folders.values()], mode: 'hybrid' };
}

function unified(name: string, { cpus, memoryMiB }: GuestSize): ControlGroups {
  writeFileSync(join(MOUNT, 'cgroup.subtree_control'), '+cpu +memory +pids');
  const group = join(MOUNT, name);
  // A run that was killed may have left one of this name.
  mkdirSync(group, { recursive: true });
  writeFileSync(join(group, 'memory.max'), String(memoryMiB * 1024 * 1024));
  writeFileSync(join(group, 'memory.swap.max'), '0');
  writeFileSync(join(group, 'cpu.max'), `${cpus * PERIOD_MICROSECONDS} ${PERIOD_MICROSECONDS}`);
  return { paths: [group], mode: 'unified' };
}
