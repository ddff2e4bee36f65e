import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { kernelsFor, processorFeatures, useOwnKernels } from '../../../runtime/src/engine/kernels';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';

const HASWELL = ['avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe'];
const SKYLAKE = [...HASWELL, 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'];

it('chooses by what the processor has', () => {
  expect(kernelsFor(new Set([...SKYLAKE, 'avx512_vnni']))).toBe('avx512-vnni');
  expect(kernelsFor(new Set(SKYLAKE))).toBe('avx512');
  // As on AVX-512 of the first kind, without bytes and words.
  expect(kernelsFor(new Set([...HASWELL, 'avx512f', 'avx512cd']))).toBe('avx2');
  expect(kernelsFor(new Set(HASWELL))).toBe('avx2');
  expect(kernelsFor(new Set(HASWELL.filter((feature) => feature !== 'fma')))).toBeUndefined();
  expect(kernelsFor(new Set())).toBeUndefined();
});

const onLinux = process.platform === 'linux' && process.arch === 'x64' ? describe : describe.skip;
onLinux('on this machine', () => {
  const folder = temporaryFolder();
  const library = `x86-64-${kernelsFor(processorFeatures()) ?? 'none'}.so`;

  it("says that llama.cpp's own are used where the library is missing or damaged", async () => {
    await expect(useOwnKernels(folder())).resolves.toBe(
      `llama.cpp's own kernels, which are slower: ${join(folder(), library)} is missing`,
    );
    writeFileSync(join(folder(), library), 'no library');
    await expect(useOwnKernels(folder())).resolves.toMatch(
      /^llama\.cpp's own kernels, which are slower: .*\.so cannot be loaded \(.+\)$/,
    );
  });

  it('has llama.cpp call ours, and not its own', () => {
    const dist = join(REPOSITORY, 'runtime', 'dist');
    const script = join(__dirname, 'start-llama.mjs');
    // The dynamic linker tells which function takes which place: see ld.so(8).
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', script, dist], {
      encoding: 'utf8',
      env: { ...process.env, LD_DEBUG: 'bindings' },
      maxBuffer: 2 ** 29,
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^faster kernels for AVX/);
    const bindings = stderr
      .split('\n')
      .flatMap(
        (line) =>
          /file \S*\/(\S+) .* to \S*\/(\S+) .*`(ggml_gem[mv]_q4_0_8x8_q8_0|llamafile_sgemm)'/.exec(line) ??
          [],
      );
    expect(bindings).toEqual(expect.arrayContaining([library, 'ggml_gemm_q4_0_8x8_q8_0']));
    expect(bindings).toEqual(expect.arrayContaining([library, 'ggml_gemv_q4_0_8x8_q8_0']));
    expect(bindings).toEqual(expect.arrayContaining([library, 'llamafile_sgemm']));
  });
});
