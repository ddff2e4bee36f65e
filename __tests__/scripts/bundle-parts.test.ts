import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { withoutDebugSections } from '../../scripts/lib/bundle/elf';
import { pruneModules } from '../../scripts/lib/bundle/prune';
import { pinnedInLock } from '../../scripts/lib/bundle/registry-package';
import { temporaryFolder } from '../support/temporary-folder';
import { REPOSITORY } from '../support/test-model';

const folder = temporaryFolder();

(process.platform === 'linux' ? describe : describe.skip)('a program without its debug sections', () => {
  it('runs as before', () => {
    const original = readFileSync(process.execPath);
    const stripped = withoutDebugSections(original);
    const program = join(folder(), 'node');
    writeFileSync(program, stripped, { mode: 0o755 });
    expect(stripped.length).toBeLessThanOrEqual(original.length);
    expect(
      execFileSync(program, ['-p', 'JSON.stringify(zlib.gzipSync("x").length > 0)'], { encoding: 'utf8' }),
    ).toBe('true\n');
    // A second time there is nothing left to take.
    expect(withoutDebugSections(stripped)).toBe(stripped);
  });

  it('is left alone when it is something else', () => {
    const script = Buffer.from('#!/bin/sh\nexit 0\n');
    expect(withoutDebugSections(script)).toBe(script);
  });
});

describe('pruned packages', () => {
  const put = (file: string, content = '') => {
    const path = join(folder(), file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  };
  const has = (file: string) => existsSync(join(folder(), file));

  it('lose types, maps, prose, tests and the build for bundlers, and keep code and licences', () => {
    put('a/package.json', '{"main": "dist-cjs/index.js", "module": "dist-es/index.js"}');
    put('a/dist-cjs/index.js');
    put('a/dist-es/index.js');
    put('a/dist-types/index.d.ts');
    put('a/index.js.map');
    put('a/README.md');
    put('a/LICENSE.md');
    put('a/test/big.json');
    put('a/lib/test/needed.js');
    put('a/node_modules/nested/test/x.js');
    put('a/node_modules/nested/index.js');
    put('@scope/b/package.json', '{"type": "module", "exports": "./dist-es/index.js"}');
    put('@scope/b/dist-es/index.js');
    put('.bin/tool');
    pruneModules(folder());
    for (const kept of [
      'a/dist-cjs/index.js',
      'a/LICENSE.md',
      'a/lib/test/needed.js',
      '@scope/b/dist-es/index.js',
    ]) {
      expect([kept, has(kept)]).toEqual([kept, true]);
    }
    expect(has('a/node_modules/nested/index.js')).toBe(true);
    for (const gone of [
      'a/dist-es',
      'a/dist-types',
      'a/index.js.map',
      'a/README.md',
      'a/test',
      'a/node_modules/nested/test',
      '.bin',
    ]) {
      expect([gone, has(gone)]).toEqual([gone, false]);
    }
  });
});

describe('the packages of a bundle', () => {
  it.each(['linux-x64', 'linux-arm64'])('are pinned by version and integrity for %s', (platform) => {
    const lockFile = join(REPOSITORY, 'runtime', 'package-lock.json');
    for (const name of [`@node-llama-cpp/${platform}`, `@koromix/koffi-${platform}`])
      expect(pinnedInLock(lockFile, name).integrity).toMatch(/^sha512-/);
    const lock = JSON.parse(readFileSync(join(REPOSITORY, 'scripts', 'bundle.lock.json'), 'utf8')) as {
      node: { version: string; packages: Record<string, { integrity: string }> };
    };
    expect(lock.node.packages[platform]?.integrity).toMatch(/^sha512-/);
  });

  it('are refused when the lock file does not pin them', () => {
    const file = join(folder(), 'package-lock.json');
    writeFileSync(file, JSON.stringify({ packages: { 'node_modules/x': { version: '1.0.0' } } }));
    expect(() => pinnedInLock(file, 'x')).toThrow('does not pin x by version and integrity');
  });
});
