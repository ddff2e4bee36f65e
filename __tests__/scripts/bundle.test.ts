import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';

import * as tar from 'tar';

import { filesUnder } from '../../scripts/lib/bundle/inputs';
import { retried } from '../e2e/box/commands';
import { REPOSITORY, testModel } from '../support/test-model';
import { temporaryFolder } from '../support/temporary-folder';

jest.setTimeout(15 * 60_000);

interface Built {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

const folder = temporaryFolder();

/** A bare Debian, which takes as long as all the rest: begun first, beside it, and mostly waiting. */
const missing = whatIsMissing();
const debian = mkdtempSync(join(tmpdir(), 'botstack-debian-'));
const debianIsThere = missing === undefined ? bootstrapped(debian) : Promise.resolve();
// Its test awaits it, and fails with it.
debianIsThere.catch(() => undefined);
afterAll(async () => {
  await debianIsThere.catch(() => undefined);
  rmSync(debian, { recursive: true, force: true });
});

/** In a process of its own: the builder loads ES modules, which Jest's CommonJS cannot. */
async function build(
  platform: string,
  into: string,
  { env = {} }: { env?: NodeJS.ProcessEnv } = {},
): Promise<Built> {
  const script = `
    require('./scripts/bundle').buildBundle({
      platform: ${JSON.stringify(platform)}, folder: ${JSON.stringify(into)},
    }).then((bundle) => console.log(JSON.stringify(bundle)));`;
  const tsx = join(REPOSITORY, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [tsx, '-e', script], {
    cwd: REPOSITORY,
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as Built;
}

it('gives the same bytes from the same inputs, in any folder, for a machine of another kind, too', async () => {
  const [one, two] = await Promise.all([
    build('linux-arm64', join(folder(), 'one')),
    build('linux-arm64', join(folder(), 'another place')),
  ]);
  expect(two.sha256).toBe(one.sha256);
  expect(createHash('sha256').update(readFileSync(one.path)).digest('hex')).toBe(one.sha256);
  expect(one.path).toMatch(new RegExp(`/bot-[\\d.]+-linux-arm64-${one.sha256.slice(0, 12)}\\.tar\\.gz$`));
  expect(one.sizeBytes).toBeLessThanOrEqual(60_000_000);

  const unpacked = join(folder(), 'unpacked');
  mkdirSync(unpacked);
  execFileSync('tar', ['xzf', one.path, '-C', unpacked]);
  const machine = (file: string) => readFileSync(join(unpacked, file)).readUInt16LE(18);
  const AARCH64 = 183;
  expect(machine('bin/node')).toBe(AARCH64);
  for (const library of [
    '@node-llama-cpp/linux-arm64/bins/linux-arm64/llama-addon.node',
    '@koromix/koffi-linux-arm64/linux_arm64/koffi.node',
  ])
    expect(machine(join('app/node_modules', library))).toBe(AARCH64);
  expect(JSON.parse(readFileSync(join(unpacked, 'VERSION'), 'utf8'))).toMatchObject({
    platform: 'linux-arm64',
  });
  // llama.cpp's own do for this processor.
  expect(existsSync(join(unpacked, 'app', 'dist', 'kernels'))).toBe(false);
});

it('is not built for x64 without the compiler of the kernels: it would be another, of a slower machine', async () => {
  const into = join(folder(), 'none');
  const env = { XDG_CACHE_HOME: join(folder(), 'cache'), PATH: join(folder(), 'no programs') };
  await expect(build('linux-x64', into, { env })).rejects.toThrow(
    /the compiler of the kernels \(Zig [\d.]+\) comes as a Python package, and this machine has no python3\n {2}install Python/,
  );
  expect(readdirSync(into)).toEqual([]);
});

describe('the bundle for x64', () => {
  /** The one that a deployment would use: built once, then remembered. */
  const bundle = () => build('linux-x64', join(REPOSITORY, '.artifacts'));

  it('holds what the instance expects, owned by root, and nothing that only builds need', async () => {
    const entries = new Map<string, { mode: number | undefined; uid: number | undefined; type: string }>();
    const { path } = await bundle();
    await tar.list({
      file: path,
      onReadEntry: (entry) => entries.set(entry.path, { mode: entry.mode, uid: entry.uid, type: entry.type }),
    });
    for (const script of [
      'bin/bot',
      'bin/node',
      'bin/generate_token.sh',
      'bin/model_loader',
      'bin/upgrade.sh',
      'scripts/generate_token.sh',
    ]) {
      expect(entries.get(script)).toMatchObject({ mode: 0o755 });
    }
    for (const file of [
      'VERSION',
      'LICENSE',
      'THIRD-PARTY-NOTICES',
      'app/package.json',
      'app/dist/cli/bot.js',
    ]) {
      expect(entries.get(file)).toMatchObject({ mode: 0o644 });
    }
    expect(entries.has('app/console/index.html')).toBe(true);
    const names = [...entries.keys()];
    // All that is compiled, and nothing that an earlier set-up left.
    const sources = filesUnder(join(REPOSITORY, 'runtime', 'src')).filter((file) => file.endsWith('.ts'));
    expect(names.filter((name) => /^app\/dist\/.*\.js$/.test(name)).sort()).toEqual(
      sources
        .map(
          (file) => `app/dist/${relative(join(REPOSITORY, 'runtime', 'src'), file).replace(/\.ts$/, '.js')}`,
        )
        .sort(),
    );
    expect(
      names.filter((name) => /\.map$|\.d\.[cm]?ts$|gitRelease\.bundle|\/typescript\/|^app\/src/.test(name)),
    ).toEqual([]);
    expect([...entries.values()].every(({ uid, type }) => !uid && type !== 'SymbolicLink')).toBe(true);
    expect(names.some((name) => name.endsWith('.gguf'))).toBe(false);
  });

  const withKernels = process.platform === 'linux' && process.arch === 'x64' ? it : it.skip;
  withKernels('holds the kernels, as this machine has them', async () => {
    const unpacked = join(folder(), 'unpacked');
    mkdirSync(unpacked);
    execFileSync('tar', ['xzf', (await bundle()).path, '-C', unpacked, 'app/dist/kernels']);
    const [inside, here] = [
      join(unpacked, 'app', 'dist', 'kernels'),
      join(REPOSITORY, 'runtime', 'dist', 'kernels'),
    ];
    const libraries = readdirSync(here).filter((name) => !name.startsWith('.'));
    expect(libraries.length).toBeGreaterThan(0);
    expect(readdirSync(inside).sort()).toEqual(libraries.sort());
    for (const name of libraries)
      expect([name, readFileSync(join(inside, name)).equals(readFileSync(join(here, name)))]).toEqual([
        name,
        true,
      ]);
  });

  it('is not built again while nothing has changed', async () => {
    const first = await bundle();
    const written = statSync(first.path).mtimeMs;
    expect(await bundle()).toEqual(first);
    expect(statSync(first.path).mtimeMs).toBe(written);
  });

  if (missing) console.warn(`skipped: the bundle on a bare Debian needs ${missing}`);
  (missing ? it.skip : it)(
    'answers on a Debian 12 with no package but the essential ones and libstdc++',
    async () => {
      await debianIsThere;
      const root = debian;
      const release = join(root, 'opt', 'bot', 'releases', 'one');
      mkdirSync(release, { recursive: true });
      execFileSync('tar', ['xzf', (await bundle()).path, '-C', release]);
      symlinkSync('releases/one', join(root, 'opt', 'bot', 'current'));
      symlinkSync('current/bin', join(root, 'opt', 'bot', 'bin'));
      copyFileSync(testModel().path, join(root, 'opt', 'bot', 'model.gguf'));
      writeFileSync(
        join(root, 'config.yaml'),
        [
          'security: { api_key: 0123456789abcdef0123456789abcdef }',
          'model_path: /opt/bot/model.gguf',
          // Two would be in the way of the engines of other tests, and one need not wait for its turn with them.
          'engine: { threads: 1 }',
          '',
        ].join('\n'),
      );
      writeFileSync(join(root, 'try.mjs'), TRY);

      // A network of its own with nothing but loopback, and process ids of its own: all of it ends with the command.
      const script = `mount -t proc proc "$1/proc" && ip link set lo up && exec chroot "$1" /opt/bot/bin/node /try.mjs`;
      const { stdout, stderr, status } = spawnSync(
        'unshare',
        ['--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c', script, 'sh', root],
        { encoding: 'utf8', env: { PATH: process.env['PATH'] }, timeout: 300_000 },
      );
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
      const result = JSON.parse(stdout) as { version: string; answer: string; token: string };
      expect(result.version).toMatch(/^bot [\d.]+ \(node 24\.[\d.]+, node-llama-cpp [\d.]+\)$/);
      expect(result.token).toMatch(/^Generated Access Token: ey\S+\nToken Expiry: \d{4}-\S+Z$/);
      expect(result.answer).toMatch(/\p{L}{3,}/u);
    },
  );
});

/** Runs on the bare Debian, with the bundle's own Node: nothing else is there. */
const TRY = `
import { execFileSync, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8' }).trim();
const version = run('/opt/bot/bin/bot', '--version');
const token = run('/opt/bot/bin/generate_token.sh', '--config', '/config.yaml');
const service = spawn('/opt/bot/bin/bot', ['serve', '--config', '/config.yaml'], { stdio: ['ignore', 'pipe', 'inherit'] });
let log = '';
service.stdout.on('data', (chunk) => (log += chunk));
const ended = new Promise((resolve) => service.once('exit', resolve));
const ready = async () => (await fetch('http://127.0.0.1:8000/readyz').catch(() => undefined))?.ok;
while (!(await ready())) {
  if (service.exitCode !== null) throw new Error(log);
  await sleep(100);
}
const answer = await fetch('http://127.0.0.1:8000/api/v1/chat', {
  method: 'POST',
  headers: { authorization: 'Bearer ' + /Token: (\\S+)/.exec(token)[1], 'content-type': 'application/json' },
  body: JSON.stringify({
    messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0, max_tokens: 20,
  }),
});
const { choices } = await answer.json();
service.kill('SIGTERM');
if ((await ended) !== 0) throw new Error(log);
console.log(JSON.stringify({ version, token, answer: choices[0].message.content }));
`;

/** apt itself needs libstdc++, so every Debian that can install packages has it. */
async function bootstrapped(root: string): Promise<void> {
  await retried(async () => {
    rmSync(root, { recursive: true, force: true });
    await promisify(execFile)('mmdebstrap', [
      '--quiet',
      '--variant=essential',
      '--include=libstdc++6',
      '--aptopt=Acquire::Retries "3"',
      'bookworm',
      root,
    ]);
  });
}

function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'Linux on x64';
  if (process.getuid?.() !== 0) return 'root (for chroot and namespaces)';
  const programs = ['mmdebstrap', 'unshare', 'chroot', 'ip'];
  const absent = programs.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return absent.length > 0 ? absent.join(', ') : undefined;
}
