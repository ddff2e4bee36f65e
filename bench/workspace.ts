import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export const REPOSITORY = resolve(__dirname, '..');

/** Where results go; git ignores it. */
export const RESULTS = join(REPOSITORY, 'bench', 'results');

/** llama-server and the models that the bench makes: kept outside the clone, so that a new clone finds them. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'botstack', 'bench');

export function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * Runs a program to its end and returns what it printed.
 * @throws with the end of its output when it fails, or that it is missing.
 */
export function run(file: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(file, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      process.off('exit', kill);
      if (!error) return resolve(stdout);
      if (error.code === 'ENOENT') return reject(new Error(`${file} is not installed`));
      const output = `${stdout}${stderr}`.trimEnd().split('\n').slice(-20).join('\n');
      reject(new Error(`${file} ${args.join(' ')} failed:\n${output}`));
    });
    const kill = (): void => void child.kill();
    process.on('exit', kill);
  });
}
