// @ts-check
/** The kernels in runtime/kernels, compiled: a library for each instruction set, the same bytes on every host. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run } from '../run.mjs';
import { SetupError } from '../say.mjs';
import { zigCompiler } from '../zig/compiler.mjs';
import { NoCompiler } from '../zig/no-compiler.mjs';

/** The one platform that there are kernels for. */
export const KERNEL_PLATFORM = 'linux-x64';

/** The compiler's name for the processor of each. Without `fast_dpwssd` it takes that instruction apart into two. */
const INSTRUCTION_SETS = /** @type {const} */ ({
  avx2: 'x86_64_v3',
  avx512: 'x86_64_v4',
  'avx512-vnni': 'x86_64_v4+avx512vnni+fast_dpwssd',
});

/** The files that compiling leaves. */
export const LIBRARIES = Object.keys(INSTRUCTION_SETS).map((name) => `x86-64-${name}.so`);

/** Each library's SHA-256, by its name: what loads a library that was cut short ends with it (SIGBUS). */
export const CHECKSUMS = 'checksums.json';

/** @param {string} file */
const sha256 = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/**
 * @param {string} folder
 * @returns {boolean} whether all libraries are there, and are what was compiled
 */
export function areIntact(folder) {
  try {
    const expected = JSON.parse(readFileSync(join(folder, CHECKSUMS), 'utf8'));
    return LIBRARIES.every((name) => sha256(join(folder, name)) === expected[name]);
  } catch {
    return false;
  }
}

const FLAGS = [
  // No C library to link with, and none wanted: the service's process has one, of whatever kind.
  ...['-target', 'x86_64-linux-none', '-ffreestanding', '-nostdlib'],
  // A loop that clears memory stays one: there is no memset to call, and no other function either.
  ...['-fno-builtin', '-Wl,-z,defs'],
  ...['-std=c17', '-O3', '-fomit-frame-pointer', '-fPIC', '-shared'],
  // All relocations at load time, no executable stack; no symbols but the exported ones.
  ...['-Wl,-z,now', '-Wl,-z,relro', '-Wl,-z,noexecstack', '-Wl,--build-id=none', '-s'],
  // llama.cpp gives the kernels' parameters, and not every kernel needs each.
  ...['-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror'],
];

/**
 * @param {string} root the repository
 * @param {string} folder where the libraries go
 * @param {{ attempts?: number }} [options] attempts to fetch the compiler, where the network fails
 * @throws NoCompiler, SetupError, Interrupted
 */
export async function compileKernels(root, folder, options) {
  const sources = join(root, 'runtime', 'kernels');
  const files = existsSync(sources) ? readdirSync(sources).filter((name) => name.endsWith('.c')) : [];
  if (files.length === 0) {
    throw new SetupError(`${sources} has no kernels`, 'restore them: git checkout runtime/kernels');
  }
  const { program, pin } = await zigCompiler(root, options);
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'botstack-kernels-'));
  const discard = () => rmSync(work, { recursive: true, force: true });
  process.once('exit', discard);
  try {
    for (const [name, processor] of Object.entries(INSTRUCTION_SETS)) {
      const library = join(folder, `x86-64-${name}.so`);
      const args = ['cc', ...FLAGS, `-mcpu=${processor}`, '-o', library, ...files.sort()];
      // Names without a folder, and no variable of this machine: CPATH and others would find their way in.
      const { code, output } = await run(program, args, { cwd: sources, env: environment(work) });
      if (code === 127 && !existsSync(library)) throw doesNotStart(program, pin.version, output);
      if (code !== 0) throw doesNotCompile(name, output);
    }
    const checksums = Object.fromEntries(LIBRARIES.map((name) => [name, sha256(join(folder, name))]));
    writeFileSync(join(folder, CHECKSUMS), `${JSON.stringify(checksums, null, 2)}\n`);
  } finally {
    discard();
    process.removeListener('exit', discard);
  }
}

/**
 * @param {string} work
 * @returns {NodeJS.ProcessEnv}
 */
function environment(work) {
  const { PATH, SystemRoot } = process.env;
  return {
    PATH,
    ...(SystemRoot === undefined ? {} : { SystemRoot }),
    ...{ TMPDIR: work, TEMP: work, TMP: work },
    ...{ ZIG_LOCAL_CACHE_DIR: join(work, 'cache'), ZIG_GLOBAL_CACHE_DIR: join(work, 'cache') },
  };
}

/**
 * @param {string} program
 * @param {string} version
 * @param {string} output
 */
const doesNotStart = (program, version, output) =>
  new NoCompiler(
    'machine',
    `the compiler of the kernels (Zig ${version}) does not start: ${output.trim()}`,
    `if ${program} lies on a file system that runs no programs (noexec), set XDG_CACHE_HOME to another`,
  );

/**
 * @param {string} name
 * @param {string} output
 */
const doesNotCompile = (name, output) =>
  new SetupError(
    `the kernels do not compile for ${name}:\n    ${output.trim().split('\n').slice(0, 12).join('\n    ')}`,
    'correct the source in runtime/kernels, then run this again',
  );
