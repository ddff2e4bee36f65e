// @ts-check
/** Which compiler makes the kernels: one version for all, so that the same sources give the same bytes everywhere. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { NoCompiler } from './no-compiler.mjs';

/**
 * @typedef {object} Pin
 * @property {string} package the Python package that carries the compiler
 * @property {string} version
 * @property {string} host this machine, as `process.platform-process.arch`
 * @property {string} platform pip's name for it
 * @property {string} sha256 of the wheel
 */

/** @param {string} root the repository */
export const pinFile = (root) => join(root, 'scripts', 'compiler.lock.json');

/**
 * @param {string} root the repository
 * @param {string} [host]
 * @returns {Pin}
 * @throws NoCompiler
 */
export function pinnedZig(root, host = `${process.platform}-${process.arch}`) {
  const { zig } = JSON.parse(readFileSync(pinFile(root), 'utf8'));
  const wheel = zig.wheels[host];
  if (wheel) return { package: zig.package, version: zig.version, host, ...wheel };
  throw new NoCompiler(
    'machine',
    `Zig ${zig.version}, which compiles the kernels, does not come for ${host}`,
    `use one of ${Object.keys(zig.wheels).join(', ')}`,
  );
}
