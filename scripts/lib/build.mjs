// @ts-check
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { run } from './run.mjs';
import { SetupError } from './say.mjs';

/**
 * One hash over everything that the compiled runtime depends on.
 *
 * @param {string} root the repository
 */
function sourcesHash(root) {
  const runtime = join(root, 'runtime');
  const files = readdirSync(join(runtime, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const hash = createHash('sha256');
  for (const file of [
    ...files,
    join(root, 'tsconfig.json'),
    join(runtime, 'tsconfig.json'),
    join(runtime, 'package-lock.json'),
  ]) {
    hash
      .update(`${relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

/** @param {string} root */
const stampFile = (root) => join(root, 'runtime', 'dist', '.sources-sha256');

/** @param {string} root */
export function isBuilt(root) {
  const stamp = stampFile(root);
  return existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === sourcesHash(root);
}

/**
 * Compiles runtime/src to runtime/dist with the runtime's own TypeScript.
 *
 * @param {string} root
 */
export async function build(root) {
  // Before the compiler reads them: a file that changes meanwhile is then seen by the next set-up.
  const hash = sourcesHash(root);
  const runtime = join(root, 'runtime');
  const tsc = join(runtime, 'node_modules', 'typescript', 'bin', 'tsc');
  const { code, output } = await run(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: runtime });
  if (code !== 0) {
    throw new SetupError(
      `the runtime does not compile:\n    ${output.trim().split('\n').slice(0, 12).join('\n    ')}`,
      'correct the source, then run this again',
    );
  }
  writeFileSync(stampFile(root), `${hash}\n`);
}
