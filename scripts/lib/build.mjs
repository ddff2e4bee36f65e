// @ts-check
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './run.mjs';
import { SetupError } from './say.mjs';
import { hashOfSources } from './sources.mjs';

/**
 * One hash over everything that the compiled runtime depends on.
 *
 * @param {string} root the repository
 */
const sourcesHash = (root) =>
  hashOfSources(root, ['runtime/src', 'tsconfig.json', 'runtime/tsconfig.json', 'runtime/package-lock.json']);

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
