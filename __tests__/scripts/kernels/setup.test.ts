import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { Clone } from './clone';

/** The real pip and the real set-up; only the compiler is a small one. */
const withKernels = process.platform === 'linux' && process.arch === 'x64' ? describe : describe.skip;

const LIBRARIES = ['x86-64-avx2.so', 'x86-64-avx512-vnni.so', 'x86-64-avx512.so'];
const COMPILER = 'zig-0.0.1-linux-x64';
/** What a package index has that does not know the compiler. */
const UNKNOWN = { PIP_FIND_LINKS: '/nonexistent' };

withKernels('a set-up of the kernels', () => {
  const folder = temporaryFolder();
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** No program but those that a shell needs. */
  const withoutPython = () => ({ PATH: join(folder(), 'no programs') });

  /** A package index that answers nothing of use, and counts how often it was asked. */
  const brokenIndex = async () => {
    const index = { asked: 0, env: {} as NodeJS.ProcessEnv };
    const server = createServer((request) => {
      index.asked++;
      request.socket.destroy();
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    index.env = { PIP_NO_INDEX: '0', PIP_FIND_LINKS: '', PIP_INDEX_URL: `http://127.0.0.1:${port}/` };
    return index;
  };

  it('fetches the compiler once, outside the clone, and compiles what has changed', async () => {
    const clone = new Clone(folder());
    expect(await clone.setUp('kernels')).toMatchObject({ status: 0 });
    expect(clone.libraries().sort()).toEqual(LIBRARIES);
    expect(clone.library('x86-64-avx512-vnni.so')).toMatch(/-mcpu=x86_64_v4\+avx512vnni\S* .*\.c\n$/);
    expect(clone.toolsThere()).toEqual([COMPILER]);
    // Only what the kernels need of it.
    expect(existsSync(join(clone.compiler, 'ziglang', 'lib', 'libc'))).toBe(false);

    expect(await clone.setUp('kernels', withoutPython())).toEqual({ status: 0, stderr: '' });
    rmSync(join(clone.root, 'runtime', 'dist', 'kernels'), { recursive: true });
    const again = await clone.setUp('kernels', { ...UNKNOWN });
    expect(again).toMatchObject({ status: 0 });
    expect(again.stderr).toMatch(/^setup: kernels for this machine's processor {2}[\d.]+ s\n$/);
    expect(clone.libraries().sort()).toEqual(LIBRARIES);
  });

  it('is made anew by another compiler, and replaces the files that a running service has open', async () => {
    const clone = new Clone(folder());
    await clone.setUp('kernels');
    const name = join(clone.root, 'runtime', 'dist', 'kernels', 'x86-64-avx2.so');
    const before = spawnSync('stat', ['-c', '%i', name], { encoding: 'utf8' }).stdout;
    rmSync(clone.compiler, { recursive: true });
    clone.publish({ program: '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho other >"$2"\n' });
    expect(await clone.setUp('kernels')).toMatchObject({ status: 0 });
    expect(clone.library('x86-64-avx2.so')).toBe('other\n');
    expect(spawnSync('stat', ['-c', '%i', name], { encoding: 'utf8' }).stdout).not.toBe(before);
  });

  it('refuses a wheel that is not the pinned one, and keeps nothing of it', async () => {
    const clone = new Clone(folder());
    clone.publish({ pinned: 'a'.repeat(64) });
    const { status, stderr } = await clone.setUp('kernels');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /ziglang 0\.0\.1 for manylinux2010_x86_64 .* is not the wheel that was pinned: expected SHA-256 a{64}, got [0-9a-f]{64}\n/,
    );
    expect(clone.toolsThere()).toEqual([]);
    expect(clone.libraries()).toEqual([]);
  });

  it('does not use a compiler that was damaged: it is fetched again, or the set-up ends', async () => {
    const clone = new Clone(folder());
    await clone.setUp('kernels');
    rmSync(join(clone.root, 'runtime', 'dist', 'kernels'), { recursive: true });
    writeFileSync(join(clone.compiler, 'ziglang', 'lib', 'include', 'immintrin.h'), '// a head');

    const refused = await clone.setUp('kernels', UNKNOWN);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('is damaged (ziglang/lib/include/immintrin.h is not what it was)');
    expect(refused.stderr).toMatch(
      /pip finds no wheel ziglang 0\.0\.1 .*\n {2}see that your package index mirrors it/,
    );
    expect(clone.libraries()).toEqual([]);

    expect(await clone.setUp('kernels')).toMatchObject({ status: 0 });
    expect(clone.libraries().sort()).toEqual(LIBRARIES);
    expect(clone.toolsThere()).toEqual([COMPILER]);
  });

  it('goes through twice at once, from two clones', async () => {
    mkdirSync(join(folder(), 'a'));
    mkdirSync(join(folder(), 'b'));
    const [one, two] = [new Clone(join(folder(), 'a')), new Clone(join(folder(), 'b'))];
    const cache = { XDG_CACHE_HOME: one.env['XDG_CACHE_HOME'] };
    const ended = await Promise.all([one.setUp('kernels'), two.setUp('kernels', cache)]);
    expect(ended.map(({ status }) => status)).toEqual([0, 0]);
    expect(two.libraries().sort()).toEqual(LIBRARIES);
    expect(one.toolsThere()).toEqual([COMPILER]);
  });

  it('leaves nothing when it is interrupted while it downloads', async () => {
    const clone = new Clone(folder());
    // Never answers.
    const server = createServer(() => undefined);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const asked = new Promise((resolve) => server.once('request', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { child, ended } = clone.start('kernels', {
      PIP_NO_INDEX: '0',
      PIP_FIND_LINKS: '',
      PIP_INDEX_URL: url,
    });
    await asked;
    expect(clone.toolsThere()).toHaveLength(1);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ status: 130 });
    expect(clone.toolsThere()).toEqual([]);
  });

  it('tries again where the network fails, then says so', async () => {
    const clone = new Clone(folder());
    const index = await brokenIndex();
    const { status, stderr } = await clone.setUp('kernels', index.env);
    expect(status).toBe(1);
    expect(stderr).toContain('the package index did not answer, attempt 3 of 3');
    expect(stderr).toMatch(
      /pip could not reach its package index \(.+\)\n {2}check the network and pip config list/,
    );
    expect(index.asked).toBeGreaterThanOrEqual(3);
  });

  describe('for who only runs it', () => {
    it('goes on without Python, with cause, consequence and remedy, and looks again at the next start', async () => {
      const clone = new Clone(folder());
      const { status, stderr } = await clone.setUp('run', withoutPython());
      expect(status).toBe(0);
      expect(stderr).toContain(
        "setup: prompts are read two to three times slower, with llama.cpp's own kernels: the compiler of the kernels " +
          '(Zig 0.0.1) comes as a Python package, and this machine has no python3\n' +
          '  install Python with pip (Debian, Ubuntu: apt install python3-pip), then run: node scripts/setup.mjs --for kernels\n',
      );
      expect(clone.libraries()).toEqual([]);

      expect(await clone.setUp('run')).toMatchObject({ status: 0 });
      expect(clone.libraries().sort()).toEqual(LIBRARIES);
      expect(await clone.setUp('run', withoutPython())).toEqual({ status: 0, stderr: '' });
    });

    it('goes on without pip', async () => {
      const clone = new Clone(folder());
      const python = join(folder(), 'python');
      expect(spawnSync('python3', ['-m', 'venv', '--without-pip', python]).status).toBe(0);
      const { status, stderr } = await clone.setUp('run', { PATH: join(python, 'bin') });
      expect(status).toBe(0);
      expect(stderr).toMatch(/python3 has no pip\n {2}install it \(Debian, Ubuntu: apt install python3-pip;/);
    });

    it('asks an index that does not answer once a day, and at once when it is told to', async () => {
      const clone = new Clone(folder());
      const index = await brokenIndex();
      const slower = /prompts are read two to three times slower, .* pip could not reach its package index/;
      const first = await clone.setUp('run', index.env);
      expect(first).toMatchObject({ status: 0, stderr: expect.stringMatching(slower) });
      const { asked } = index;
      expect(asked).toBeGreaterThan(0);

      const second = await clone.setUp('run', index.env);
      expect(second).toMatchObject({ status: 0, stderr: expect.stringMatching(slower) });
      expect(index.asked).toBe(asked);

      const memory = join(clone.root, '.artifacts', 'kernels-missed.json');
      const { time, ...rest } = JSON.parse(readFileSync(memory, 'utf8')) as { time: number };
      writeFileSync(memory, JSON.stringify({ time: time - 86_400_000, ...rest }));
      await clone.setUp('run', index.env);
      expect(index.asked).toBeGreaterThan(asked);

      expect(await clone.setUp('kernels')).toMatchObject({ status: 0 });
      expect(await clone.setUp('run', index.env)).toEqual({ status: 0, stderr: '' });
    });
  });

  it.each(['test', 'e2e', 'deploy'])('ends without a compiler when it is for %s', async (purpose) => {
    const clone = new Clone(folder());
    const { status, stderr } = await clone.setUp(purpose, withoutPython());
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /this machine has no python3\n {2}install Python with pip .*, then run this again\n$/,
    );
  });
});
