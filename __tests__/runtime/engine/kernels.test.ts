import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

  const built = join(REPOSITORY, 'runtime', 'dist', 'kernels');
  const warning = async () => {
    const report = await useOwnKernels(folder());
    expect(report?.level).toBe('WRN');
    return report?.text;
  };

  it("says that llama.cpp's own are used where the library is missing, and why", async () => {
    const slower = "llama.cpp's own kernels, which are slower: ";
    await expect(warning()).resolves.toBe(`${slower}${join(folder(), 'checksums.json')} is missing`);
    copyFileSync(join(built, 'checksums.json'), join(folder(), 'checksums.json'));
    await expect(warning()).resolves.toBe(`${slower}${join(folder(), library)} is missing`);
  });

  it('does not load a library that was cut short, which would end the process, nor another one', async () => {
    copyFileSync(join(built, 'checksums.json'), join(folder(), 'checksums.json'));
    for (const bytes of [readFileSync(join(built, library)).subarray(0, 5000), Buffer.from('no library')]) {
      writeFileSync(join(folder(), library), bytes);
      await expect(warning()).resolves.toMatch(/\.so is not the one that was compiled \(SHA-256\)$/);
    }
  });

  it('says what the system says of a library that it cannot load', async () => {
    writeFileSync(join(folder(), library), 'no library');
    const sha256 = createHash('sha256').update('no library').digest('hex');
    writeFileSync(join(folder(), 'checksums.json'), JSON.stringify({ [library]: sha256 }));
    await expect(warning()).resolves.toMatch(
      /^llama\.cpp's own kernels, which are slower: .*\.so cannot be loaded \(/,
    );
  });

  it('has llama.cpp call ours, and not its own', () => {
    const dist = join(REPOSITORY, 'runtime', 'dist');
    const script = join(__dirname, 'start-llama.mjs');
    // The dynamic linker tells which function takes which place: see ld.so(8). Into files: on a pipe that Node has made
    // non-blocking, lines are lost while nobody reads.
    const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', script, dist], {
      encoding: 'utf8',
      env: { ...process.env, LD_DEBUG: 'bindings', LD_DEBUG_OUTPUT: join(folder(), 'linker') },
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^faster kernels for AVX/);
    const said = readdirSync(folder()).map((name) => readFileSync(join(folder(), name), 'utf8'));
    const bindings = said
      .join('')
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
