// @ts-check
/** The kernels of this machine's own runtime, in runtime/dist/kernels. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { hashOfSources } from '../sources.mjs';
import { areIntact, compileKernels, KERNEL_PLATFORM, LIBRARIES } from './compile.mjs';

/** There is no kernel for other machines, and llama.cpp's own do there. */
export const hasKernels = `${process.platform}-${process.arch}` === KERNEL_PLATFORM;

/** @param {string} root the repository */
const folderOf = (root) => join(root, 'runtime', 'dist', 'kernels');
const STAMP = '.sources-sha256';
const FRESH = '.fresh-';

/** @param {string} root the repository */
export const kernelsHash = (root) =>
  hashOfSources(root, ['runtime/kernels', 'scripts/compiler.lock.json', 'scripts/lib/kernels/compile.mjs']);

/** @param {string} root the repository */
export function areKernelsBuilt(root) {
  const folder = folderOf(root);
  const stamp = join(folder, STAMP);
  return existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === kernelsHash(root) && areIntact(folder);
}

/**
 * A service that is running has the files of before mapped into its memory: they are replaced, not written over.
 *
 * @param {string} root the repository
 * @param {{ attempts?: number }} [options] attempts to fetch the compiler, where the network fails
 * @throws NoCompiler, SetupError, Interrupted
 */
export async function buildKernels(root, options) {
  // Before the compiler reads them: a file that changes meanwhile is then seen by the next set-up.
  const hash = kernelsHash(root);
  const folder = folderOf(root);
  mkdirSync(folder, { recursive: true });
  // What a killed build left: there is one at a time.
  for (const name of readdirSync(folder).filter((each) => each.startsWith(FRESH)))
    rmSync(join(folder, name), { recursive: true, force: true });
  const fresh = mkdtempSync(join(folder, FRESH));
  const discard = () => rmSync(fresh, { recursive: true, force: true });
  process.once('exit', discard);
  try {
    await compileKernels(root, fresh, options);
    rmSync(join(folder, STAMP), { force: true });
    for (const name of readdirSync(fresh)) renameSync(join(fresh, name), join(folder, name));
    for (const name of readdirSync(folder).filter((each) => /\.so$/.test(each) && !LIBRARIES.includes(each)))
      rmSync(join(folder, name));
    writeFileSync(join(folder, STAMP), `${hash}\n`);
  } finally {
    discard();
    process.removeListener('exit', discard);
  }
}
