// @ts-check
/** What of the compiler's wheel is kept: 180 of 400 MB, and 240 of 19,600 files. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from '../run.mjs';
import { NoCompiler } from './no-compiler.mjs';

/** @typedef {import('./pin.mjs').Pin} Pin */

/** From the wheel's root. @param {Pin} pin */
export const programOf = (pin) => `ziglang/zig${pin.host.startsWith('win32') ? '.exe' : ''}`;

/**
 * From the wheel's root: the program, the compiler's own headers, and the file by which it recognises its folder. The
 * rest is other languages' and libraries' sources, which the kernels do without.
 *
 * @param {Pin} pin
 */
const membersOf = (pin) => [
  programOf(pin),
  'ziglang/lib/include/',
  'ziglang/lib/std/std.zig',
  'ziglang/LICENSE',
  recordOf(pin),
];

/** The wheel's list of its files and their hashes. @param {Pin} pin */
const recordOf = (pin) => `${pin.package}-${pin.version}.dist-info/RECORD`;

/** Python's own zipfile: Node has none, and the set-up has nothing else. */
const UNPACK = `
import sys, zipfile
wheel, folder, *members = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(tuple(members))])
`;

/**
 * @param {string} wheel
 * @param {string} python
 * @param {string} folder
 * @param {Pin} pin
 * @throws NoCompiler, Interrupted
 */
export async function unpackWheel(wheel, python, folder, pin) {
  const { code, output } = await run(python, ['-c', UNPACK, wheel, folder, ...membersOf(pin)]);
  const damage = code === 0 ? damageOf(folder, pin) : output.trim().split('\n').at(-1);
  if (damage !== undefined) {
    throw new NoCompiler(
      'download',
      `the compiler of the kernels (Zig ${pin.version}) cannot be unpacked to ${folder}: ${damage}`,
      'see that some 400 MB are free there and the folder is yours',
    );
  }
  chmodSync(join(folder, programOf(pin)), 0o755);
}

/**
 * What is wrong with an unpacked wheel, by the wheel's own list: a disk that filled up, or a person, may have changed
 * it since. Takes 0.2 s.
 *
 * @param {string} folder
 * @param {Pin} pin
 * @returns {string | undefined} undefined where it is whole
 */
export function damageOf(folder, pin) {
  const list = join(folder, recordOf(pin));
  if (!existsSync(list)) return `${recordOf(pin)} is missing`;
  const members = membersOf(pin).filter((member) => member !== recordOf(pin));
  // Each line is a name, a hash and a size.
  const listed = readFileSync(list, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(','))
    .filter(([name = '']) => members.some((member) => name.startsWith(member)));
  if (!listed.some(([name]) => name === programOf(pin))) return `${recordOf(pin)} does not list the program`;
  for (const [name = '', hash] of listed) {
    const file = join(folder, name);
    if (!existsSync(file)) return `${name} is missing`;
    const got = createHash('sha256').update(readFileSync(file)).digest('base64url');
    if (hash !== `sha256=${got}`) return `${name} is not what it was`;
  }
  return undefined;
}
