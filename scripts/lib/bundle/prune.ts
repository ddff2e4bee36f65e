/** Takes out of node_modules what no running service reads: half of the bytes. */
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Folders at the top of a package that hold nothing to run. */
const DEAD_FOLDERS = [
  'test',
  'tests',
  '__tests__',
  'doc',
  'docs',
  'example',
  'examples',
  'benchmark',
  '.github',
  'man',
];

/** Types, maps, and prose. Licences stay. */
const DEAD_FILE =
  /(\.d\.[cm]?ts|\.[cm]?ts|\.tsx|\.map|\.tsbuildinfo|\.flow|\.md|\.markdown|\.eslintrc.*|\.npmignore|\.yml)$/i;
const KEPT_FILE = /^(licen[cs]e|notice|copying)/i;

/** Per package, from its root. */
const DEAD_PARTS: Readonly<Record<string, readonly string[]>> = {
  // The history of llama.cpp's source, to build from: 34 MB. The compiled back end does not look at it.
  'node-llama-cpp': ['llama/gitRelease.bundle', 'templates'],
  // Sources to build from; and builds for another C library than Node's.
  koffi: ['cnoke.cjs', 'lib', 'src/koffi/src/abi', 'vendor'],
  '@koromix/koffi-linux-arm64': ['musl_arm64'],
  '@koromix/koffi-linux-x64': ['musl_x64'],
  // TypeScript sources.
  zod: ['src'],
  // The same once more, as modules for a browser.
  yaml: ['browser'],
};

export function pruneModules(nodeModules: string): void {
  for (const name of readdirSync(nodeModules)) {
    const path = join(nodeModules, name);
    // .bin holds links for a shell, .package-lock.json is npm's own memory and names this machine's state.
    if (name.startsWith('.')) rmSync(path, { recursive: true, force: true });
    else if (name.startsWith('@'))
      for (const scoped of readdirSync(path)) prunePackage(join(path, scoped), `${name}/${scoped}`);
    else prunePackage(path, name);
  }
}

function prunePackage(path: string, name: string): void {
  for (const part of [...DEAD_FOLDERS, ...(DEAD_PARTS[name] ?? [])])
    rmSync(join(path, part), { recursive: true, force: true });
  if (!readsEsBuild(path)) rmSync(join(path, 'dist-es'), { recursive: true, force: true });
  pruneFiles(path);
  const nested = join(path, 'node_modules');
  if (existsSync(nested)) pruneModules(nested);
}

/** The AWS SDK's packages carry a second build that only bundlers use, unless `exports` says otherwise. */
function readsEsBuild(path: string): boolean {
  const file = join(path, 'package.json');
  if (!existsSync(file)) return true;
  const { main, exports, type } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  return type === 'module' || JSON.stringify([main, exports ?? '']).includes('dist-es');
}

/** @returns true when nothing is left in the folder, and the folder is gone, too */
function pruneFiles(folder: string): boolean {
  let empty = true;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name === 'node_modules') empty = false;
    else if (lstatSync(path).isDirectory()) empty = pruneFiles(path) && empty;
    else if (DEAD_FILE.test(name) && !KEPT_FILE.test(name)) rmSync(path);
    else empty = false;
  }
  if (empty) rmSync(folder, { recursive: true });
  return empty;
}
