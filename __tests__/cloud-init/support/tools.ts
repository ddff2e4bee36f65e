/** Runs the checkers of other trades on the files. Where one is not installed, its test is skipped and says so. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Debian keeps some of them outside an ordinary user's PATH. */
const PATH = `${process.env['PATH']}:/usr/sbin:/sbin`;

export interface Outcome {
  readonly status: number | null;
  /** Standard output and standard error. */
  readonly output: string;
}

export function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  timeout = 50_000,
): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    env: { ...process.env, PATH, ...env },
    encoding: 'utf8',
    timeout,
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status, output: error === undefined ? stdout + stderr : error.message };
}

/** `test`, or a skipped test whose name says what to install. */
export function testWith(
  tool: string,
  debianPackage: string,
  name: string,
  body: () => void | Promise<void>,
): void {
  const found = run('sh', ['-c', `command -v ${tool}`]).status === 0;
  if (found) test(name, async () => body());
  else test.skip(`${name} (skipped: apt-get install ${debianPackage})`, () => undefined);
}

/** A folder that is gone after the call. */
export function inTemporaryFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'cloud-init-test-'));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
