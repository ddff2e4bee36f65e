import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { runEsModule } from '../support/es-module';
import { temporaryFolder } from '../support/temporary-folder';
import { REPOSITORY } from '../support/test-model';

const folder = temporaryFolder();

describe('what the set-up needs', () => {
  const check = (call: string) =>
    runEsModule(`const { checkNode, backEndPackage } = await import(scripts + 'lib/platform.mjs');
      try { console.log(${call}); } catch (error) { console.log(error.message); }`).stdout;

  it('refuses a Node that is too old, naming the one it needs', () => {
    expect(check(`checkNode('20.18.3')`)).toMatch(
      /Node.js 20.18.3 is too old: botstack needs 20.19 or later\n {2}install/,
    );
    expect(check(`checkNode('18.20.8')`)).toContain('too old');
    for (const fine of ['20.19.0', '22.0.0', '26.10.0'])
      expect(check(`checkNode('${fine}')`)).toBe('undefined\n');
  });

  it('knows the engine of each machine, and says which machines there are', () => {
    expect(check(`backEndPackage('linux', 'x64')`)).toBe('@node-llama-cpp/linux-x64\n');
    expect(check(`backEndPackage('darwin', 'arm64')`)).toBe('@node-llama-cpp/mac-arm64-metal\n');
    expect(check(`backEndPackage('aix', 'ppc64')`)).toMatch(
      /no prebuilt engine for aix on ppc64\n {2}use one of: linux-x64/,
    );
  });
});

describe('whether packages are installed', () => {
  const wanted = {
    '': {},
    'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/o': { version: '1.0.0', integrity: 'sha512-o', optional: true },
  };
  const isInstalled = (present?: object) => {
    writeFileSync(join(folder(), 'package-lock.json'), JSON.stringify({ packages: wanted }));
    mkdirSync(join(folder(), 'node_modules'), { recursive: true });
    const hidden = join(folder(), 'node_modules', '.package-lock.json');
    if (present) writeFileSync(hidden, JSON.stringify({ packages: present }));
    else rmSync(hidden, { force: true });
    return runEsModule(`const { isInstalled } = await import(scripts + 'lib/npm.mjs');
      console.log(isInstalled(${JSON.stringify(folder())}));`).stdout.trim();
  };

  it('compares versions and integrity, and leaves optional packages aside', () => {
    const a = wanted['node_modules/a'];
    expect(isInstalled({ 'node_modules/a': a })).toBe('true');
    expect(isInstalled({ 'node_modules/a': { ...a, version: '1.0.1' } })).toBe('false');
    expect(isInstalled({ 'node_modules/a': { ...a, integrity: 'sha512-other' } })).toBe('false');
    expect(isInstalled({})).toBe('false');
  });

  it('takes an interrupted install for none', () => {
    expect(isInstalled(undefined)).toBe('false');
  });
});

describe('two set-ups at once', () => {
  const worker = (lock: string, log: string) => `
    const { exclusive } = await import(${JSON.stringify(`file://${join(REPOSITORY, 'scripts/lib/exclusive.mjs')}`)});
    const { appendFileSync } = await import('node:fs');
    await exclusive(${JSON.stringify(lock)}, async () => {
      appendFileSync(${JSON.stringify(log)}, 'in ');
      await new Promise((resolve) => setTimeout(resolve, 150));
      appendFileSync(${JSON.stringify(log)}, 'out ');
    });`;

  it('go one after the other', async () => {
    const [lock, log] = [join(folder(), 'lock'), join(folder(), 'log')];
    const start = () =>
      new Promise((resolve) =>
        spawn(process.execPath, ['--input-type=module', '-e', worker(lock, log)]).once('close', resolve),
      );
    expect(await Promise.all([start(), start(), start()])).toEqual([0, 0, 0]);
    expect(readFileSync(log, 'utf8')).toBe('in out in out in out ');
    expect(existsSync(lock)).toBe(false);
  });

  it('do not wait for one that was killed', () => {
    const [lock, log] = [join(folder(), 'lock'), join(folder(), 'log')];
    // A process id that is free for certain: that of a process that has ended.
    writeFileSync(lock, `${spawnSync('true').pid}\n`);
    expect(runEsModule(worker(lock, log)).status).toBe(0);
    expect(readFileSync(log, 'utf8')).toBe('in out ');
  });
});

it('says what to do when the registry cannot be reached, after several attempts', () => {
  const copy = join(folder(), 'copy');
  for (const part of [
    'scripts',
    'package.json',
    'package-lock.json',
    'runtime/package.json',
    'runtime/package-lock.json',
  ]) {
    cpSync(join(REPOSITORY, part), join(copy, part), { recursive: true });
  }
  const outer = Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'));
  const { status, stderr } = spawnSync(process.execPath, ['scripts/setup.mjs', '--for', 'run'], {
    cwd: copy,
    encoding: 'utf8',
    env: {
      ...Object.fromEntries(outer),
      npm_config_registry: 'http://127.0.0.1:9/',
      npm_config_fetch_retries: '0',
      npm_config_cache: join(folder(), 'cache'),
    },
  });
  expect(status).toBe(1);
  expect(stderr).toContain('attempt 3 of 3');
  expect(stderr).toMatch(/npm could not reach the package registry:\n.*ECONNREFUSED/s);
  expect(stderr).toContain('check the network; behind a proxy set HTTPS_PROXY');
  expect(existsSync(join(copy, '.artifacts', 'setup.lock'))).toBe(false);
});

it('refuses a purpose that it does not know', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/setup.mjs', '--for', 'fun'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  });
  expect(status).toBe(1);
  expect(stderr).toContain('--for should be one of run, test, e2e, deploy, got fun');
});
