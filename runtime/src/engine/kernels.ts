/**
 * Faster kernels for llama.cpp: its products of matrices in Q4_0, Q4_K and Q8_0, from runtime/kernels.
 *
 * llama.cpp calls its kernels through the dynamic linker, by name. A library that is loaded before llama.cpp, and whose
 * names are seen by all that comes later (dlopen(3), RTLD_GLOBAL), takes their place. That is a property of how the pinned
 * version is built, not a promise; the kernels' tests hold it, and where it ends llama.cpp calls its own again.
 */
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
const held: unknown[] = [];

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

/**
 * Puts the kernels in the place of llama.cpp's, for all that this process evaluates from now on. Call it before llama.cpp
 * is loaded. Resolves to what was done, for people; to `undefined` where there is nothing to do: no kernels are made for this
 * kind of machine.
 *
 * @param folder with the libraries
 */
export async function useOwnKernels(folder: string): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  const name = kernelsFor(processorFeatures());
  if (name === undefined) return "llama.cpp's own kernels: the processor has no AVX2";
  const file = join(folder, `x86-64-${name}.so`);
  if (!existsSync(file)) return `llama.cpp's own kernels, which are slower: ${file} is missing`;
  try {
    const { default: koffi } = await import('koffi');
    held.push(koffi.load(file, { global: true }));
    return `faster kernels for ${name.toUpperCase().replace('-', ' with ')}`;
  } catch (error) {
    return `llama.cpp's own kernels, which are slower: ${file} cannot be loaded (${messageOf(error)})`;
  }
}
