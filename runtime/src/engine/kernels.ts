/**
 * Faster kernels for llama.cpp: its products of matrices in Q4_0, Q4_K, Q6_K and Q8_0, from runtime/kernels; and a new
 * context that is empty without being filled with zeroes.
 *
 * llama.cpp calls its kernels through the dynamic linker, by name. A library that is loaded before llama.cpp, and whose
 * names are seen by all that comes later (dlopen(3), RTLD_GLOBAL), takes their place. That is a property of how the pinned
 * version is built, not a promise; the kernels' tests hold it, and where it ends llama.cpp calls its own again.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors/message-of.js';

/** The libraries, the fastest first, and what the processor must have for each, as /proc/cpuinfo names it. */
const LIBRARIES = [
  { name: 'avx512-vnni', needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl', 'avx512_vnni'] },
  { name: 'avx512', needs: ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'] },
  { name: 'avx2', needs: [] },
] as const;
/** All of them are compiled for x86-64-v3. */
const ALL_NEED = ['avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe'];

/** koffi closes a library when V8 collects it: until llama.cpp has begun to use it, nothing else would keep it. */
const held: { readonly library: unknown; readonly givenBackBytes: () => number }[] = [];

/** As /proc/cpuinfo lists them; empty where there is no such file. */
export function processorFeatures(): ReadonlySet<string> {
  try {
    const [, flags = ''] = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? [];
    return new Set(flags.trim().split(/\s+/));
  } catch {
    return new Set();
  }
}

/** The fastest library for such a processor, by name. */
export function kernelsFor(features: ReadonlySet<string>): string | undefined {
  const has = (feature: string) => features.has(feature);
  if (!ALL_NEED.every(has)) return undefined;
  return LIBRARIES.find(({ needs }) => needs.every(has))?.name;
}

/** What was done, for people: INF where all is as it should be. */
export interface KernelsReport {
  readonly level: 'INF' | 'WRN';
  readonly text: string;
}

/**
 * Puts the kernels in the place of llama.cpp's, for all that this process evaluates from now on. Call it before llama.cpp
 * is loaded. Resolves to undefined where there is nothing to do: no kernels are made for this kind of machine.
 *
 * @param folder with the libraries and their checksums
 */
export async function useOwnKernels(folder: string): Promise<KernelsReport | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const name = kernelsFor(processorFeatures());
  if (name === undefined) return { level: 'INF', text: "llama.cpp's own kernels: the processor has no AVX2" };
  const file = `x86-64-${name}.so`;
  try {
    checkLibrary(folder, file);
    await loadForAll(join(folder, file));
    return { level: 'INF', text: `faster kernels for ${name.toUpperCase().replace('-', ' with ')}` };
  } catch (error) {
    return { level: 'WRN', text: `llama.cpp's own kernels, which are slower: ${messageOf(error)}` };
  }
}

/**
 * Bytes of contexts that the kernels' library has given back to the system, where llama.cpp would have filled them with
 * zeroes. 0 without the library.
 */
export function givenBackBytes(): number {
  return held.reduce((sum, { givenBackBytes }) => sum + givenBackBytes(), 0);
}

/** Before it is loaded: one that was cut short would end the process (SIGBUS). @throws Error that says what is wrong */
function checkLibrary(folder: string, file: string): void {
  const checksums = join(folder, 'checksums.json');
  for (const each of [checksums, join(folder, file)])
    if (!existsSync(each)) throw new Error(`${each} is missing`);
  const { [file]: expected } = JSON.parse(readFileSync(checksums, 'utf8')) as Record<string, unknown>;
  const actual = createHash('sha256')
    .update(readFileSync(join(folder, file)))
    .digest('hex');
  if (actual !== expected)
    throw new Error(`${join(folder, file)} is not the one that was compiled (SHA-256)`);
}

async function loadForAll(library: string): Promise<void> {
  const { default: koffi } = await import('koffi');
  try {
    const loaded = koffi.load(library, { global: true });
    const givenBack = loaded.func('uint64_t botstack_given_back_bytes()') as () => number;
    held.push({ library: loaded, givenBackBytes: givenBack });
  } catch (error) {
    throw new Error(`${library} cannot be loaded (${messageOf(error)})`, { cause: error });
  }
}
