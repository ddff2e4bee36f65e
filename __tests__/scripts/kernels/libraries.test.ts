import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';

const onX64 = process.platform === 'linux' && process.arch === 'x64' ? describe : describe.skip;

const NAMES = ['x86-64-avx2.so', 'x86-64-avx512-vnni.so', 'x86-64-avx512.so'];
/** What the set-up for the tests has built, by the pinned compiler. */
const BUILT = join(REPOSITORY, 'runtime', 'dist', 'kernels');

const folder = temporaryFolder();

/** The repository's sources and the pinned compiler, at another place. */
function copyOfSources(): string {
  const root = join(folder(), 'another place');
  for (const part of ['scripts', 'runtime/kernels'])
    cpSync(join(REPOSITORY, part), join(root, part), { recursive: true });
  return root;
}

function compile(root: string, into: string, env: NodeJS.ProcessEnv = {}) {
  const code = `
    const { compileKernels } = await import(${JSON.stringify(`file://${root}/scripts/lib/kernels/compile.mjs`)});
    await compileKernels(${JSON.stringify(root)}, ${JSON.stringify(into)});`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
}

onX64('the libraries of kernels', () => {
  it('are the same bytes from another folder, whatever the environment says', () => {
    const temporary = join(folder(), 'temporary');
    const headers = join(folder(), 'headers');
    mkdirSync(temporary);
    mkdirSync(headers);
    writeFileSync(join(headers, 'immintrin.h'), '#error "not the compiler\'s own"\n');
    const into = join(folder(), 'libraries');
    const env = { TMPDIR: temporary, LC_ALL: 'C', SOURCE_DATE_EPOCH: '1', CPATH: headers };
    const { status, stderr } = compile(copyOfSources(), into, env);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(readdirSync(into).sort()).toEqual(['checksums.json', ...NAMES]);
    for (const name of NAMES)
      expect([name, readFileSync(join(into, name)).equals(readFileSync(join(BUILT, name)))]).toEqual([
        name,
        true,
      ]);
    expect(readdirSync(temporary)).toEqual([]);
  });

  it('differ from each other: each is for its instruction set', () => {
    const [avx2, vnni] = NAMES.map((name) => readFileSync(join(BUILT, name)));
    expect(avx2?.equals(vnni ?? avx2)).toBe(false);
  });

  it.each(NAMES)('%s names no file or folder of this machine', (name) => {
    const text = readFileSync(join(BUILT, name), 'latin1');
    const sources = readdirSync(join(REPOSITORY, 'runtime', 'kernels'));
    const names = [REPOSITORY, tmpdir(), homedir(), 'immintrin.h', 'ziglang', ...sources];
    expect(names.filter((each) => text.includes(each))).toEqual([]);
  });

  it('do not come about from a source that calls a C library, or the compiler’s own', () => {
    const root = copyOfSources();
    const source = join(root, 'runtime', 'kernels', 'more.c');
    writeFileSync(source, 'void *malloc(unsigned long);\nvoid *ggml_more(void) { return malloc(1); }\n');
    expect(compile(root, join(folder(), 'a')).stderr).toMatch(
      /do not compile for avx2:\n.*undefined symbol: malloc/,
    );
    writeFileSync(source, '__int128 ggml_more(__int128 a, __int128 b) { return a / b; }\n');
    expect(compile(root, join(folder(), 'b')).stderr).toMatch(/undefined symbol: __divti3/);
  });

  it('do not come about from a source with warnings, and the message says where', () => {
    const root = copyOfSources();
    writeFileSync(
      join(root, 'runtime', 'kernels', 'more.c'),
      'int ggml_more(void) { int unused; return 1; }\n',
    );
    const { status, stderr } = compile(root, join(folder(), 'a'));
    expect(status).toBe(1);
    expect(stderr).toMatch(/the kernels do not compile for avx2:\n\s+more\.c:1:27: error: unused variable/);
    expect(stderr).toContain('correct the source in runtime/kernels, then run this again');
  });

  const missing =
    spawnSync('readelf', ['--version']).status === 0 ? undefined : 'readelf (apt install binutils)';
  if (missing) console.warn(`skipped: what is in the libraries needs ${missing}`);
  (missing ? it.skip.each : it.each)(NAMES)(
    '%s exports kernels, needs no library, only what every process has, and runs no data',
    (name) => {
      const asked = ['--wide', '--dynamic', '--segments', '--dyn-syms', '--notes'];
      const { stdout } = spawnSync('readelf', [...asked, join(BUILT, name)], { encoding: 'utf8' });
      // Number, value, size, type, binding, visibility, section, name.
      const rows = stdout.matchAll(/^ +\d+: [0-9a-f]+ +\d+ \w+ +\w+ +\w+ +(\w+) (\S+)$/gm);
      const symbols = [...rows].map(([, section = '', symbol = '']) => ({ section, symbol }));
      expect(symbols.map(({ symbol }) => symbol)).toEqual(
        expect.arrayContaining([
          'ggml_backend_buffer_clear',
          'ggml_gemm_q4_0_8x8_q8_0',
          'ggml_gemv_q4_0_8x8_q8_0',
        ]),
      );
      // With these it finds the functions of llama.cpp that it stands for, and gives memory back. A name with two
      // underscores is a compiler's own.
      const known = ['dladdr', 'dlclose', 'dlopen', 'dlsym', 'madvise'];
      const needed = symbols.filter(({ section }) => section === 'UND').map(({ symbol }) => symbol);
      expect(needed.filter((symbol) => !known.includes(symbol))).toEqual([]);
      expect(symbols.filter(({ symbol }) => symbol.startsWith('__'))).toEqual([]);
      expect(stdout).not.toMatch(/\((NEEDED|RPATH|RUNPATH|TEXTREL|INIT|INIT_ARRAY)\)|Build ID/);
      expect(stdout).toContain('BIND_NOW');
      expect(stdout).toMatch(/GNU_STACK .* RW +0/);
      expect(stdout).toMatch(/GNU_RELRO /);
      expect(stdout).not.toMatch(/\bRWE\b/);
    },
  );
});
