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
}

/** Longest time for a program, in milliseconds: a restart waits for the drain and the load of a model. */
const LIMIT_MS = 300_000;
/** How long, after its end, its output is waited for. */
const PIPES_MS = 500;

/** Never rejects: a program that is missing has no status, and says so in `output`. */
export function runCommand(
  argv: readonly string[],
  { limitMs = LIMIT_MS, environment = process.env }: CommandOptions = {},
): Promise<CommandResult> {
  const [program = '', ...args] = argv;
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
    child.once('error', (error) => resolve({ status: undefined, output: error.message }));
    child.once('close', (code) => resolve({ status: code ?? undefined, output }));
    // A service that the program leaves behind may keep the pipes for ever.
    const letGo = () => [child.stdout, child.stderr].forEach((pipe) => pipe.destroy());
    child.once('exit', () => {
      const timer = setTimeout(letGo, PIPES_MS);
      child.once('close', () => clearTimeout(timer));
    });
  });
}

/** @throws Error with the program's last words when it does not end with 0 */
export async function mustRun(argv: readonly string[], what: string): Promise<string> {
  const { status, output } = await runCommand(argv);
  if (status === 0) return output;
  throw new Error(`${what} failed: ${lastLine(output) || `${argv[0]} ended with status ${status}`}`);
}

export function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.trim() ?? '';
}
