/** Schemathesis, which makes requests of an OpenAPI document and holds the answers against it. Kept between runs. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { retried } from '../../support/retried';
import { REPOSITORY } from '../../support/test-model';

const VERSION = '4.32.5';
const HOME = join(REPOSITORY, '.artifacts', `schemathesis-${VERSION}`);
const PROGRAM = join(HOME, 'bin', 'schemathesis');

export interface SchemathesisRun {
  readonly exitCode: number | null;
  readonly output: string;
}

/** Call at the top of a test file that uses `schemathesis`: fetches it, where that was not done before. */
export function installSchemathesis(): void {
  beforeAll(() => retried(install), 600_000);
}

const running = new Set<ChildProcess>();

/** A test that has reached its time limit leaves it behind. */
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** `url` is the document’s. */
export async function schemathesis(url: string, ...options: readonly string[]): Promise<SchemathesisRun> {
  const child = spawn(PROGRAM, ['run', url, ...options], { stdio: ['ignore', 'pipe', 'pipe'], cwd: HOME });
  running.add(child);
  let output = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  running.delete(child);
  return { exitCode, output };
}

function install(): void {
  if (spawnSync(PROGRAM, ['--version']).status === 0) return;
  execFileSync('python3', ['-m', 'venv', '--clear', HOME]);
  const pip = ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`];
  execFileSync(join(HOME, 'bin', 'pip'), pip);
}
