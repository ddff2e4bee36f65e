/** Running other programs: each in a process group of its own, with its output kept, never through a shell string. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { identify, type ProcessIdentity, signalGroup } from './process-identity';
import type { UndoLog } from './undo-log';

export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Text for its standard input; by default it is empty. */
  input?: string;
  /** Milliseconds after which it is killed: far more than it takes on a machine that others use, too. @default 180000 */
  timeoutMs?: number;
  /** Ends it early. */
  signal?: AbortSignal;
  /** Return a status other than 0 instead of throwing. @default false */
  allowFailure?: boolean;
}

/** What runs now, so that the end of the run can end it too. */
const running = new Set<ProcessIdentity>();

/** Runs a program to its end. Throws with the end of its output when it fails. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { timeoutMs = 180_000 } = options;
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: 'pipe',
  });
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity) running.add(identity);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined); // the program may end without reading its input
  child.stdin.end(options.input ?? '');
  let timedOut = false;
  const stop = (): void => {
    if (identity) signalGroup(identity, 'SIGKILL');
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, timeoutMs);
  options.signal?.addEventListener('abort', stop);
  try {
    const status = await exitStatus(child);
    if (timedOut) stderr += `\nkilled after ${timeoutMs / 1000} s`;
    if (status !== 0 && !options.allowFailure) {
      throw new Error(`${argv.join(' ')} ended with status ${status}\n${lastLines(stderr || stdout, 30)}`);
    }
    return { status, stdout, stderr };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
    if (identity) running.delete(identity);
  }
}

export interface BackgroundProcess {
  readonly pid: number;
  /** The exit status once it has ended (128 + n for signal n). */
  readonly exited: Promise<number>;
  readonly identity: ProcessIdentity;
}

export interface BackgroundOptions {
  name: string;
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Milliseconds between SIGTERM and SIGKILL when the run ends. @default 2000 */
  graceMs?: number;
}

/** Starts a program that goes on in the background, its output in a file, and records how to end it. */
export function start(argv: readonly string[], undo: UndoLog, options: BackgroundOptions): BackgroundProcess {
  const log = openSync(options.logFile, 'a');
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exited = exitStatus(child);
  exited.catch(() => undefined); // whoever waits for it gets the error
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (!identity) throw new Error(`could not start ${options.name} (${argv[0]}): see ${options.logFile}`);
  undo.add({ kind: 'process', process: identity, name: options.name, graceMs: options.graceMs ?? 2_000 });
  // The harness waits for what it wants to wait for; a background program alone must not keep it alive (`--keep`).
  child.unref();
  return { pid: identity.pid, exited, identity };
}

/** Ends what `run` still has in progress: part of taking the run down. */
export function killRunningCommands(): void {
  for (const identity of running) signalGroup(identity, 'SIGKILL');
}

function exitStatus(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === 'SIGTERM' ? 15 : 9)));
  });
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** For what crosses a network: another two tries, after some seconds each. */
export async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (const pauseMs of [3_000, 10_000]) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  return attempt();
}

/** Waits until `probe` gives something other than undefined. Throws an error that names what was waited for. */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  { timeoutMs, intervalMs = 100, signal }: { timeoutMs: number; intervalMs?: number; signal?: AbortSignal },
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (signal?.aborted) throw new Error(`stopped waiting for ${what}`);
    if (Date.now() > end) throw new Error(`gave up after ${timeoutMs / 1000} s waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
