import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { runEsModule } from '../support/es-module';
import { temporaryFolder } from '../support/temporary-folder';
import { REPOSITORY } from '../support/test-model';

const folder = temporaryFolder();

describe('what the set-up needs', () => {
  const check = (call: string) =>
    runEsModule(`const { checkNode, machinePackages } = await import(scripts + 'lib/platform.mjs');
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
    expect(check(`machinePackages('linux', 'x64').join()`)).toBe(
      '@node-llama-cpp/linux-x64,@koromix/koffi-linux-x64\n',
    );
    expect(check(`machinePackages('darwin', 'arm64').join()`)).toBe(
      '@node-llama-cpp/mac-arm64-metal,@koromix/koffi-darwin-arm64\n',
    );
    expect(check(`machinePackages('aix', 'ppc64')`)).toMatch(
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
  const isInstalled = (present?: object, finished = true) => {
    writeFileSync(join(folder(), 'package-lock.json'), JSON.stringify({ packages: wanted }));
    mkdirSync(join(folder(), 'node_modules'), { recursive: true });
    const hidden = join(folder(), 'node_modules', '.package-lock.json');
    if (present) writeFileSync(hidden, JSON.stringify({ packages: present }));
    else rmSync(hidden, { force: true });
    const stamp = join(folder(), 'node_modules', '.botstack-installed');
    if (finished) writeFileSync(stamp, '');
    else rmSync(stamp, { force: true });
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
    // Whatever npm's own list says: it may name packages whose files are not there.
    expect(isInstalled({ 'node_modules/a': wanted['node_modules/a'] }, false)).toBe('false');
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

/** What a set-up needs that installs packages, without any of them. */
function copyOfRepository(): string {
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
  return copy;
}

const withoutNpm = (env: NodeJS.ProcessEnv) =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('npm_')));

// The way processes are grouped and asked for is Unix's.
const onUnix = process.platform === 'win32' ? describe.skip : describe;

onUnix('a set-up that is interrupted', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s ends what it started, then releases its lock',
    async (signal) => {
      const copy = copyOfRepository();
      const lock = join(copy, '.artifacts', 'setup.lock');
      const log = join(folder(), 'log');
      // Like npm: takes no notice of a signal for some time, and has a child of its own.
      const cli = join(folder(), 'npm-cli.js');
      writeFileSync(
        cli,
        `const { spawn } = require('node:child_process');
       process.on('SIGTERM', () => {}).on('SIGINT', () => {});
       const child = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setTimeout(() => {}, 60000)']);
       require('node:fs').writeFileSync(${JSON.stringify(log)}, process.pid + ' ' + child.pid + '\\n');
       setTimeout(() => {}, 60_000);`,
      );
      const setUp = spawn(process.execPath, ['scripts/setup.mjs', '--for', 'run'], {
        cwd: copy,
        env: { ...withoutNpm(process.env), npm_execpath: cli },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      setUp.stderr.on('data', (chunk) => (said += String(chunk)));
      const ended = new Promise((resolve) => setUp.once('close', resolve));
      while (!existsSync(log) || !readFileSync(log, 'utf8').endsWith('\n')) await sleep(20);
      const started = readFileSync(log, 'utf8').trim().split(' ').map(Number);
      try {
        setUp.kill(signal);
        // While anything of it runs, the lock stands.
        while (existsSync(lock)) await sleep(2);
        expect(started.filter(isAlive)).toEqual([]);
        expect(await ended).toBe(130);
        expect(said).toMatch(/not finished\nsetup: interrupted\n$/);
      } finally {
        for (const pid of started.filter(isAlive)) process.kill(pid, 'SIGKILL');
      }
    },
  );
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

it('says what to do when the registry cannot be reached, after several attempts', () => {
  const copy = copyOfRepository();
  const { status, stderr } = spawnSync(process.execPath, ['scripts/setup.mjs', '--for', 'run'], {
    cwd: copy,
    encoding: 'utf8',
    env: {
      ...withoutNpm(process.env),
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
  expect(stderr).toContain('--for should be one of packages, kernels, run, test, e2e, deploy, got fun');
});

it('has every command of package.json that needs packages install them first', () => {
  const { scripts } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const unprepared = Object.entries(scripts).filter(
    ([name, command]) =>
      // npm runs `preX` before `X`; editors format with what they find.
      !/^node scripts\//.test(command) &&
      name !== 'format' &&
      !scripts[`pre${name}`]?.startsWith('node scripts/setup.mjs'),
  );
  expect(unprepared).toEqual([]);
});
