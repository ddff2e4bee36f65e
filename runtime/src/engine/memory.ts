import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface MemoryLimit {
  readonly bytes: number;
  /** Where the figure comes from, for people. */
  readonly source: string;
}

/**
 * Memory that a new process may take: what the kernel has available, or what is left under a control group's limit
 * (systemd's MemoryMax, a container), whichever is less. `undefined` where there is no /proc.
 */
export async function availableMemory(root = '/'): Promise<MemoryLimit | undefined> {
  const limits: MemoryLimit[] = [];
  const meminfo = await readText(join(root, 'proc/meminfo'));
  const available = meminfo === undefined ? null : /^MemAvailable:\s+(\d+) kB$/m.exec(meminfo);
  if (available?.[1] !== undefined) {
    limits.push({ bytes: Number(available[1]) * 1024, source: 'MemAvailable in /proc/meminfo' });
  }
  limits.push(...(await controlGroupLimits(root)));
  return limits.sort((a, b) => a.bytes - b.bytes)[0];
}

/** Version 2 only: every system this runs on has it. Limits of the groups above count as well. */
async function controlGroupLimits(root: string): Promise<MemoryLimit[]> {
  const membership = await readText(join(root, 'proc/self/cgroup'));
  const path = membership === undefined ? null : /^0::(\/.*)$/m.exec(membership);
  if (path?.[1] === undefined) return [];
  const limits: MemoryLimit[] = [];
  const parts = path[1].split('/').filter((part) => part !== '');
  for (let depth = parts.length; depth >= 0; depth--) {
    const group = join(root, 'sys/fs/cgroup', ...parts.slice(0, depth));
    const max = Number(await readText(join(group, 'memory.max')));
    const current = Number(await readText(join(group, 'memory.current')));
    if (!Number.isFinite(max) || !Number.isFinite(current)) continue;
    const reclaimable = /^inactive_file (\d+)$/m.exec((await readText(join(group, 'memory.stat'))) ?? '');
    const used = current - Number(reclaimable?.[1] ?? 0);
    limits.push({
      bytes: Math.max(0, max - used),
      source: `the control group's memory.max of ${mebibytes(max)}`,
    });
  }
  return limits;
}

/** What the process of an engine takes before it loads a model: Node, llama.cpp. With SmolLM2 50 MiB were seen. */
const PROCESS_BYTES = 56 * 2 ** 20;

/**
 * What it takes, later, beside weights and context: samplers, V8's heap, a sequence that is copied to another place; and
 * what requests take in the HTTP process. A model that has less is killed when its context is full.
 */
export const REQUESTS_BYTES = 64 * 2 ** 20;

/** What an engine takes beside weights and context, in all. */
export const ENGINE_BYTES = PROCESS_BYTES + REQUESTS_BYTES;

/** Memory that a process takes for itself, without files that it shares; 0 where it is gone, or there is no /proc. */
export async function residentBytes(pid: number | undefined): Promise<number> {
  const status = pid === undefined ? undefined : await readText(`/proc/${pid}/status`);
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status ?? '')?.[1] ?? 0) * 1024;
}

export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
