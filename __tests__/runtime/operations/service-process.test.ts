/** How a running service is recognised, with a program in its place that has its command line. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { checkConfiguration } from '../../../runtime/src/operations/doctor-configuration';
import { checkPorts } from '../../../runtime/src/operations/doctor-service';
import { layoutAt } from '../../../runtime/src/operations/layout';
import { findService } from '../../../runtime/src/operations/service-process';
import { freePort } from '../../support/free-port';
import { temporaryFolder } from '../../support/temporary-folder';
import { testConfig } from '../support/test-service';

const folder = temporaryFolder();
const config = () => join(folder(), 'etc', 'config.yaml');
const started: ChildProcess[] = [];

beforeEach(() => {
  for (const name of ['cli', 'etc']) mkdirSync(join(folder(), name));
  writeFileSync(config(), '');
  writeFileSync(
    join(folder(), 'cli', 'bot.js'),
    `require('node:http').createServer().listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log('up'));`,
  );
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
});

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  return startAs([], args, env);
}

/** `wrapper` becomes the program. */
async function startAs(
  wrapper: readonly string[],
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  const [program = '', ...words] = [...wrapper, process.execPath, join(folder(), 'cli', 'bot.js'), ...args];
  const child = spawn(program, words, {
    cwd: folder(),
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  await once(child.stdout!, 'data');
  return child.pid!;
}

describe('the running service is found', () => {
  it.each([
    ['that was told its file', () => start(['serve', '--config', config()])],
    ['that was told it in one word', () => start(['serve', `--config=${config()}`])],
    ['that has it from the environment', () => start(['serve'], { BOT_CONFIG: config() })],
    ['that was told it from its own folder', () => start(['serve', '--config', './etc/config.yaml'])],
    ['that has it from the environment, likewise', () => start(['serve'], { BOT_CONFIG: 'etc/config.yaml' })],
    [
      'that knows it by a link',
      () => {
        symlinkSync(join(folder(), 'etc'), join(folder(), 'link'));
        return start(['serve', '--config', join(folder(), 'link', 'config.yaml')]);
      },
    ],
  ])('%s', async (_which, begin) => {
    const pid = await begin();
    expect(findService(config())?.pid).toBe(pid);
    expect(findService(relative(process.cwd(), realpathSync(config())))?.pid).toBe(pid);
    expect(findService(join(folder(), 'etc', 'other.yaml'))).toBeUndefined();
  });

  it('by its flag, where the environment says another', async () => {
    await start(['serve', '--config', join(folder(), 'other.yaml')], { BOT_CONFIG: config() });
    expect(findService(config())).toBeUndefined();
  });

  it('and no other command with the same file', async () => {
    await start(['logs', '--config', config()]);
    await start(['policy', 'check', 'serve', '--config', config()]);
    expect(findService(config())).toBeUndefined();
  });

  it('and not the program that started it', async () => {
    const bot = join(folder(), 'cli', 'bot.js');
    // As `sudo node …/cli/bot.js serve` does: the whole command line, twice.
    const wrapper = join(folder(), 'wrapper.js');
    writeFileSync(
      wrapper,
      `require('node:child_process').spawn(process.execPath, process.argv.slice(2), { stdio: 'inherit' }).on('spawn', function () {
        process.on('SIGTERM', () => { this.kill(); process.exit(); }); console.log(this.pid); });`,
    );
    const child = spawn(process.execPath, [wrapper, bot, 'serve', '--config', config()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    try {
      expect(findService(config())?.pid).toBe(Number.parseInt(line.toString(), 10));
    } finally {
      child.kill();
      await once(child, 'exit');
    }
  });
});

describe('doctor on a configuration with a variable that is not set here', () => {
  const KEY = '0123456789abcdef0123';
  const write = (file: string) => {
    writeFileSync(join(folder(), 'model.gguf'), '');
    const keys = { security: { api_key: '${GENERATED_KEY}' }, model_path: join(folder(), 'model.gguf') };
    writeFileSync(file, JSON.stringify(keys));
  };
  const check = (configFile = config()) => checkConfiguration({ layout: layoutAt(folder()), configFile });

  it('reads it as the service has it that runs, as one of `bot up` does', async () => {
    write(config());
    const pid = await start(['serve', '--config', config()], { GENERATED_KEY: KEY });
    expect(check()).toMatchObject({
      config: { security: { api_key: KEY } },
      finding: {
        verdict: 'ok',
        text: `${config()} is valid, with GENERATED_KEY as the service has it (process ${pid})`,
      },
    });
  });

  it('warns where systemd may start the service without it', async () => {
    const installed = layoutAt(folder()).configFile;
    mkdirSync(join(folder(), 'etc', 'bot'));
    write(installed);
    await start(['serve', '--config', installed], { GENERATED_KEY: KEY });
    expect(check(installed).finding).toMatchObject({
      verdict: 'warn',
      remedy: `set GENERATED_KEY in ${folder()}/etc/bot/environment, unless the unit sets it: the next start needs it`,
    });
    writeFileSync(join(folder(), 'etc', 'bot', 'environment'), `GENERATED_KEY=${KEY}\n`);
    expect(check(installed).finding).toMatchObject({ verdict: 'ok', text: `${installed} is valid` });
  });

  it.each([
    ['nothing runs', () => Promise.resolve(0)],
    ['it has none either', () => start(['serve', '--config', config()])],
  ])('names it, and says how it comes there, where %s', async (_case, begin) => {
    write(config());
    await begin();
    expect(check()).toEqual({
      finding: {
        check: 'configuration',
        verdict: 'fail',
        text: `${config()}: \`security.api_key\` takes its value from the environment variable GENERATED_KEY, which is not set`,
        remedy:
          `set GENERATED_KEY in ${folder()}/etc/bot/environment, then: sudo systemctl reload-or-restart bot; ` +
          'if the service has it from elsewhere: run doctor while it runs, as its user or with sudo',
      },
    });
  });

  it('says what else is wrong', async () => {
    write(config());
    await start(['serve', '--config', config()], { GENERATED_KEY: 'short' });
    expect(check().finding).toMatchObject({
      verdict: 'fail',
      text: expect.stringMatching(/`security\.api_key` to be a key of at least 16/),
      remedy: expect.stringContaining('correct the file'),
    });
  });
});

/** As a container: with mounts of its own. `prepare` is done there first. */
const withMounts = (prepare: string) => ['unshare', '-rm', 'sh', '-ec', `${prepare}; exec "$@"`, 'sh'];
/** Another file by the same name. */
const otherFile = () => withMounts('mount -t tmpfs none "$PWD/etc"; echo >"$PWD/etc/config.yaml"');
const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

const skipped = canMount ? '' : ' (skipped: this user may not mount, not even in a namespace)';
(canMount ? describe : describe.skip)(`a service with mounts of its own${skipped}`, () => {
  const told: [string, () => readonly string[]][] = [
    ['absolute', () => ['serve', '--config', config()]],
    ['relative', () => ['serve', '--config', 'etc/config.yaml']],
  ];

  it.each(told)('is found where it has this file: %s', async (_how, args) => {
    // As systemd hardens one.
    const pid = await startAs(withMounts('mount --bind "$PWD/etc" "$PWD/etc"; cd "$PWD"'), args());
    expect(findService(config())?.pid).toBe(pid);
  });

  it.each(told)('is not found where it has another file by the same name: %s', async (_how, args) => {
    await startAs(otherFile(), args());
    expect(findService(config())).toBeUndefined();
    const pid = await start(args());
    expect(findService(config())?.pid).toBe(pid);
  });

  it.each(told)('is not found where it has a file and here is none: %s', async (_how, args) => {
    await startAs(otherFile(), args());
    rmSync(config());
    expect(findService(config())).toBeUndefined();
  });

  it.each(told)('is found where the file is gone: %s', async (_how, args) => {
    const pid = await startAs(withMounts('true'), args());
    rmSync(config());
    expect(findService(config())?.pid).toBe(pid);
  });

  it('is found in another root folder, by its name there', async () => {
    mkdirSync(join(folder(), 'root'));
    const prepare = 'mount --rbind / "$PWD/root"; mount --bind "$PWD/etc" "$PWD/root/mnt"';
    const inRoot = withMounts(`${prepare}; set -- chroot "$PWD/root" "$@"`);
    const pid = await startAs(inRoot, ['serve', '--config', '/mnt/config.yaml']);
    expect(findService(config())?.pid).toBe(pid);
  });

  it('is named by doctor as what it is, where it has the port', async () => {
    const port = await freePort();
    const pid = await startAs(otherFile(), ['serve', '--config', config()], { PORT: String(port) });
    const [finding] = await portsOf(port);
    expect(finding).toEqual({
      check: `port ${port}`,
      verdict: 'fail',
      text: `held by a bot of a container, with a ${config()} of its own (process ${pid})`,
      remedy: 'stop that one, or set `network.internal_port` to a free port, then restart bot',
    });
  });
});

const portsOf = async (port: number) =>
  checkPorts(
    { layout: layoutAt(folder()), configFile: config() },
    testConfig({ network: { internal_port: port, console_port: 0 } }),
  );

describe('doctor on the ports', () => {
  it('knows the service, however it was told its file', async () => {
    const port = await freePort();
    const pid = await start(['serve'], { BOT_CONFIG: './etc/config.yaml', PORT: String(port) });
    expect(await portsOf(port)).toMatchObject([
      { verdict: 'ok', text: expect.stringContaining(`(process ${pid}), as it should be`) },
    ]);
  });

  it('knows the process before, whose place a new one takes', async () => {
    const port = await freePort();
    const before = await start(['serve', '--config', config()], { PORT: String(port) });
    const next = await start(['serve', '--config', config()]);
    expect(findService(config())?.pid).toBe(next);
    expect(await portsOf(port)).toEqual([
      {
        check: `port ${port}`,
        verdict: 'ok',
        text: `held by bot (process ${before}), which is being replaced`,
      },
    ]);
  });

  it('tells a bot with another file from a program that is none', async () => {
    const port = await freePort();
    const pid = await start(['serve', '--config', 'other.yaml'], { PORT: String(port) });
    const other = join(realpathSync(folder()), 'other.yaml');
    expect(await portsOf(port)).toEqual([
      {
        check: `port ${port}`,
        verdict: 'fail',
        text: `held by a bot that runs with ${other} (process ${pid}), not with ${config()}`,
        remedy: `if that is the one you mean: bot doctor --config ${other}; else stop it (sudo kill ${pid}), or set \`network.internal_port\` to a free port, then restart bot`,
      },
    ]);
  });

  it('names a program that is no bot', async () => {
    const port = await freePort();
    const pid = await start(['logs'], { PORT: String(port) });
    expect(await portsOf(port)).toMatchObject([
      { verdict: 'fail', remedy: expect.stringContaining(`stop that program (sudo kill ${pid})`) },
    ]);
  });
});
