/** Schemathesis, which makes requests of an OpenAPI document and holds the answers against it. Kept between runs. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { REPOSITORY } from '../../support/test-model';

const VERSION = '4.32.5';
const HOME = join(REPOSITORY, '.artifacts', `schemathesis-${VERSION}`);

export interface SchemathesisRun {
  readonly exitCode: number | null;
  readonly output: string;
}

/** `url` is the document’s. */
export async function schemathesis(url: string, ...options: readonly string[]): Promise<SchemathesisRun> {
  const command = install();
  const child = spawn(command, ['run', url, ...options], { stdio: ['ignore', 'pipe', 'pipe'], cwd: HOME });
  let output = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { exitCode, output };
}

function install(): string {
  const command = join(HOME, 'bin', 'schemathesis');
  if (!existsSync(command)) {
    execFileSync('python3', ['-m', 'venv', '--clear', HOME]);
    const pip = ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`];
    execFileSync(join(HOME, 'bin', 'pip'), pip);
  }
  return command;
}
