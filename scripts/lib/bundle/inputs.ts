/** What a bundle is made from, as one hash: the same inputs give the same bundle, byte for byte. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

import type { Platform } from './platform';

/** Files and folders, from the repository's root. */
const INPUTS = [
  'LICENSE',
  'runtime/bin',
  'runtime/console',
  'runtime/kernels',
  'runtime/models.lock.json',
  'runtime/package-lock.json',
  'runtime/package.json',
  'runtime/src',
  'runtime/tsconfig.json',
  'scripts/bundle.lock.json',
  'scripts/bundle.ts',
  'scripts/compiler.lock.json',
  'scripts/lib/build.mjs',
  'scripts/lib/bundle',
  'scripts/lib/kernels',
  'scripts/lib/zig',
  'tsconfig.json',
];

export function inputsHash(root: string, platform: Platform): string {
  // zlib: another version may compress the same bytes otherwise.
  const hash = createHash('sha256').update(`${platform}\0zlib ${process.versions.zlib}\0`);
  for (const file of INPUTS.flatMap((input) => filesUnder(join(root, input))).sort()) {
    hash.update(`${relative(root, file).split(sep).join('/')}\0`);
    hash.update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

/** Every file below a folder, or the file itself; nothing where there is neither. */
export function filesUnder(path: string): string[] {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => filesUnder(join(path, entry.name)));
}
