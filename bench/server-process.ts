import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Endpoint } from './chat-request.js';

export interface ServerOptions {
  /** For people: names the server in messages and tables. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly port: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers 200 once the server can answer a prompt. */
  readonly readyPath: string;
  /** Gets everything the server prints. */
  readonly logFile: string;
}

/** A server that is ready. */
export interface RunningServer extends Endpoint {
  readonly name: string;
  /** From starting the process to its first "ready". */
  readonly startSeconds: number;
  /** Memory of all its processes; pages shared by several count once. */
  memoryMiB(): number;
  /** Files that lie in memory (/dev/shm) and that its processes hold open, named or not: no part of the above. */
  memoryFilesMiB(): number;
  stop(): Promise<void>;
}

/** A 1B model takes two or three seconds; the rest is for slow disks. */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

const running = new Set<ChildProcess>();

// The last resort, on every way out that Node sees: no server outlives the comparison.
process.on('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});

/** Starts a server in a process group of its own and waits until it is ready. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const startedAt = performance.now();
  const log = openSync(options.logFile, 'w');
  const [file, ...args] = options.command;
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  });
  closeSync(log);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${options.name}: cannot start ${file}: is it installed?`);
  running.add(child);
  child.once('exit', () => running.delete(child));

  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
  };

  while (!(await answers(options.port, options.readyPath))) {
    const late = performance.now() - startedAt > START_TIMEOUT_MS;
    if (child.exitCode === null && child.signalCode === null && !late) {
      await sleep(10);
      continue;
    }
    await stop();
    const why = late
      ? `was not ready after ${START_TIMEOUT_MS / 1000} s`
      : `ended with status ${child.exitCode}`;
    throw new Error(`${options.name} ${why}; the end of its log:\n${tail(options.logFile)}`);
  }
  return {
    name: options.name,
    port: options.port,
    headers: options.headers ?? {},
    startSeconds: (performance.now() - startedAt) / 1000,
    memoryMiB: () => processTree(pid).reduce((sum, member) => sum + proportionalSetSizeMiB(member), 0),
    memoryFilesMiB: () => processTree(pid).reduce((sum, member) => sum + openMemoryFilesMiB(member), 0),
    stop,
  };
}

/** A port on the loopback interface that nobody uses now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

function answers(port: number, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Gone already.
  }
}

/** The process and everything it started, itself or through others. */
function processTree(root: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // "pid (name) state ppid …"; the name may hold spaces and brackets.
        const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        return [{ pid: Number(name), parent: Number(fields[1]) }];
      } catch {
        return []; // It ended between the listing and the reading.
      }
    });
  const tree = [root];
  for (const member of tree) {
    tree.push(...parents.filter(({ parent }) => parent === member).map(({ pid }) => pid));
  }
  return tree;
}

function proportionalSetSizeMiB(pid: number): number {
  const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return Number(match?.[1] ?? 0) / 1024;
}

function openMemoryFilesMiB(pid: number): number {
  let bytes = 0;
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    const file = `/proc/${pid}/fd/${name}`;
    try {
      if (readlinkSync(file).startsWith('/dev/shm/')) bytes += statSync(file).blocks * 512;
    } catch {
      // It was closed between the listing and the look.
    }
  }
  return bytes / 2 ** 20;
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
}
