import { existsSync } from 'node:fs';
import { join } from 'node:path';

import koffi from '../../../runtime/node_modules/koffi';
import { kernelsFor, processorFeatures } from '../../../runtime/src/engine/kernels';
import { REPOSITORY } from '../../support/test-model';

const LLAMA = join(
  REPOSITORY,
  'runtime',
  'node_modules',
  '@node-llama-cpp',
  'linux-x64',
  'bins',
  'linux-x64',
);
export const KERNELS = join(REPOSITORY, 'runtime', 'dist', 'kernels');

/** The fastest library that this machine runs, and those that it runs too. */
const RUNNABLE = {
  'avx512-vnni': ['avx512-vnni', 'avx512', 'avx2'],
  avx512: ['avx512', 'avx2'],
  avx2: ['avx2'],
} as const satisfies Record<string, readonly string[]>;

/** Names of the libraries of ours that this machine can run. */
export function runnableKernels(): readonly string[] {
  const best = kernelsFor(processorFeatures());
  return best === undefined ? [] : RUNNABLE[best as keyof typeof RUNNABLE];
}

/** A product of matrices as llama.cpp's kernels and ours both calculate it. */
export type Multiply = (
  length: number,
  to: Float32Array,
  rowLength: number,
  weights: Uint8Array,
  values: Uint8Array,
  rows: number,
  columns: number,
) => void;

const SIGNATURE = '(int, float *, size_t, const void *, const void *, int, int)';

/** One of our libraries. */
export function ownKernels(library: string) {
  return koffi.load(join(KERNELS, `x86-64-${library}.so`));
}

/** Of dlopen(3), as Linux numbers them. */
const [RTLD_NOW, RTLD_NODELETE] = [0x2, 0x1000];

/**
 * koffi closes a library when V8 collects it, and llama.cpp's ends the process (GGML_ASSERT) when it is loaded anew: by
 * the next test file that Jest runs in this process.
 */
function keepLoaded(file: string): void {
  koffi.load(null).func('void *dlopen(const char *file, int mode)')(file, RTLD_NOW | RTLD_NODELETE);
}

/** llama.cpp's, as compiled for processors with AVX2. */
export function llamaCpu() {
  const file = join(LLAMA, 'libggml-cpu-haswell.so');
  if (!existsSync(file)) throw new Error(`${file} is missing: npm run setup -- --for test`);
  keepLoaded(file);
  const library = koffi.load(file);
  // Fills the tables from which it takes half-precision numbers.
  library.func('void ggml_cpu_init()')();
  return library;
}

/** A function of one of our libraries. */
export function ours(library: string, name: string): Multiply {
  return ownKernels(library).func(`void ${name}${SIGNATURE}`) as Multiply;
}

/** The function of llama.cpp whose place it takes. */
export function theirs(name: string): Multiply {
  return llamaCpu().func(`void ${name}${SIGNATURE}`) as Multiply;
}
