// @ts-check
/** Where the compiler is kept, outside the clone: fetched once for all clones, and whole or not there. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { note } from '../say.mjs';
import { NoCompiler } from './no-compiler.mjs';
import { pinnedZig } from './pin.mjs';
import { downloadWheel } from './pip.mjs';
import { damageOf, programOf, unpackWheel } from './wheel.mjs';

/** @typedef {import('./pin.mjs').Pin} Pin */

/** A download that is older than this, in milliseconds, was killed. */
const ABANDONED = 86_400_000;

/** With the host in its name: a home may be shared by machines of several kinds. @param {Pin} pin */
function folderOf(pin) {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'botstack', 'tools', `zig-${pin.version}-${pin.host}`);
}

/**
 * Whether a set-up would have to fetch it.
 *
 * @param {string} root the repository
 */
export function isCompilerHere(root) {
  try {
    return existsSync(folderOf(pinnedZig(root)));
  } catch {
    return false;
  }
}

/**
 * The pinned compiler, fetched where it is not there or not whole.
 *
 * @param {string} root the repository
 * @param {{ attempts?: number }} [options] attempts: where the network fails
 * @returns {Promise<{ program: string, pin: Pin }>}
 * @throws NoCompiler, Interrupted
 */
export async function zigCompiler(root, { attempts = 3 } = {}) {
  const pin = pinnedZig(root);
  const folder = folderOf(pin);
  const damage = existsSync(folder) ? damageOf(folder, pin) : undefined;
  if (damage !== undefined) note(`the compiler in ${folder} is damaged (${damage}) and fetched again`);
  if (damage !== undefined || !existsSync(folder)) {
    try {
      await fetchTo(folder, pin, attempts);
    } catch (error) {
      throw unwritable(error, folder) ?? error;
    }
  }
  return { program: join(folder, programOf(pin)), pin };
}

/**
 * Makes it ready beside its place and moves it there: another set-up that does the same at the same time may come
 * first, and nobody ever sees half of it.
 *
 * @param {string} folder
 * @param {Pin} pin
 * @param {number} attempts
 */
async function fetchTo(folder, pin, attempts) {
  const tools = join(folder, '..');
  mkdirSync(tools, { recursive: true });
  tidy(tools);
  const work = mkdtempSync(join(tools, '.zig-'));
  const discard = () => rmSync(work, { recursive: true, force: true });
  // A Ctrl-C may end the process without the finally below.
  process.once('exit', discard);
  try {
    const { wheel, python } = await downloadWheel(pin, work, { attempts });
    const unpacked = join(work, 'unpacked');
    mkdirSync(unpacked);
    await unpackWheel(wheel, python, unpacked, pin);
    moveInto(folder, unpacked, join(work, 'replaced'), pin);
  } finally {
    discard();
    process.removeListener('exit', discard);
  }
}

/**
 * @param {string} folder
 * @param {string} unpacked
 * @param {string} aside where a damaged one goes
 * @param {Pin} pin
 */
function moveInto(folder, unpacked, aside, pin) {
  if (existsSync(folder) && damageOf(folder, pin) !== undefined) renameSync(folder, aside);
  try {
    renameSync(unpacked, folder);
  } catch (error) {
    // Of two that came at the same time, the other was first.
    if (!existsSync(folder) || damageOf(folder, pin) !== undefined) throw error;
  }
}

/** Removes what killed downloads left. @param {string} tools */
function tidy(tools) {
  for (const name of readdirSync(tools).filter((each) => each.startsWith('.zig-'))) {
    const path = join(tools, name);
    const time = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (time < Date.now() - ABANDONED) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * @param {unknown} error
 * @param {string} folder
 */
function unwritable(error, folder) {
  const code = /** @type {NodeJS.ErrnoException} */ (error).code ?? '';
  if (!['EACCES', 'EPERM', 'EROFS', 'ENOSPC'].includes(code)) return undefined;
  return new NoCompiler(
    'machine',
    `the compiler of the kernels cannot be stored in ${folder}: ${/** @type {Error} */ (error).message}`,
    'make the folder yours and see that some 400 MB are free, or set XDG_CACHE_HOME to another',
  );
}
