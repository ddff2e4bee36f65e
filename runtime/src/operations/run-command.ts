/** Runs a program of the machine (systemctl, tar, nginx) and says what came of it. */
import { spawn } from 'node:child_process';

import type { Environment } from '../config/environment.js';

export interface CommandResult {
  /** The exit status; undefined where the program is not there or was killed. */
  readonly status: number | undefined;
  /** Standard output and error, as they came. */
  readonly output: string;
}

export interface CommandOptions {
  readonly limitMs?: number;
  /** @default this process's */
  readonly environment?: Environment;
  /** Ends the program, and what it has started. */
  readonly signal?: AbortSignal | undefined;
}

/** Longest time for a program, in milliseconds: a restart waits for the drain and the load of a model. */
const LIMIT_MS = 300_000;
/** How long, after its end, its output is waited for. */
const PIPES_MS = 500;

/** Never rejects: a program that is missing has no status, and says so in `output`. */
export function runCommand(
  argv: readonly string[],
  { limitMs = LIMIT_MS, environment = process.env, signal }: CommandOptions = {},
): Promise<CommandResult> {
  const [program = '', ...args] = argv;
  if (signal?.aborted) return Promise.resolve({ status: undefined, output: 'interrupted' });
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
      env: environment,
      // A Ctrl-C on the terminal is this process's to answer.
      detached: true,
    });
    let output = '';
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const endGroup = () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
    };
    signal?.addEventListener('abort', endGroup);
    const done = (result: CommandResult) => {
      signal?.removeEventListener('abort', endGroup);
      resolve(result);
    };
    child.once('error', (error) => done({ status: undefined, output: error.message }));
    child.once('close', (code) => done({ status: code ?? undefined, output }));
    // A service that the program leaves behind may keep the pipes for ever.
    const letGo = () => [child.stdout, child.stderr].forEach((pipe) => pipe.destroy());
    child.once('exit', () => {
      const timer = setTimeout(letGo, PIPES_MS);
      child.once('close', () => clearTimeout(timer));
    });
  });
}

/** @throws Error with the program's last words when it does not end with 0, the signal's reason when that ended it */
export async function mustRun(
  argv: readonly string[],
  what: string,
  options: CommandOptions = {},
): Promise<string> {
  const { status, output } = await runCommand(argv, options);
  options.signal?.throwIfAborted();
  if (status === 0) return output;
  throw new Error(`${what} failed: ${lastLine(output) || `${argv[0]} ended with status ${status}`}`);
}

export function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim() ?? '';
}
