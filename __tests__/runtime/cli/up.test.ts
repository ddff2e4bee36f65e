import { spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { readFileSync, statSync } from 'node:fs';

import { loadConfig } from '../../../runtime/src/config/load';
import { curlLine } from '../../../runtime/src/cli/up/greeting';
import {
  chooseConsolePort,
  parsePort,
  requirePorts,
  saysConsolePortTaken,
} from '../../../runtime/src/cli/up/ports';
import { createRunFolder } from '../../../runtime/src/cli/up/run-folder';
import { listen } from '../../../runtime/src/server/listen';
import { freePort } from '../../support/free-port';
import { temporaryFolder } from '../../support/temporary-folder';

describe('the ports of bot up', () => {
  let taken: Server;
  let port: number;

  beforeEach(async () => {
    taken = createServer();
    port = await freePort();
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  });
  afterEach(() => new Promise((resolve) => taken.close(resolve)));

  it.each(['--port', '--console-port'])(
    'names the program that holds what %s asks for, and a way out',
    async (option) => {
      const owner = process.platform === 'linux' ? ` by .+ \\(process ${process.pid}\\)` : '';
      const required =
        option === '--port' ? requirePorts(port, undefined) : requirePorts(await freePort(), port);
      await expect(required).rejects.toThrow(
        new RegExp(
          `^port ${port} is in use${owner}: stop that program, or choose another port: npm run up -- ${option} \\d+$`,
        ),
      );
    },
  );

  it.each(['--port', '--console-port'])(
    'suggests a free port for %s, and not the one that is asked for beside it',
    async (option) => {
      const neighbour = createServer();
      // Where somebody else has it, it is as well taken.
      await new Promise<void>((resolve) =>
        neighbour.once('error', () => resolve()).listen(port + 1, '127.0.0.1', resolve),
      );
      const suggested = async (other: number) => {
        const required = option === '--port' ? requirePorts(port, other) : requirePorts(other, port);
        const { message } = await required.then(
          () => new Error('none'),
          (error: Error) => error,
        );
        return Number(new RegExp(`npm run up -- ${option} (\\d+)$`).exec(message)?.[1]);
      };
      try {
        const first = await suggested(await freePort());
        await expect(requirePorts(first, undefined)).resolves.toBeUndefined();
        const second = await suggested(first);
        expect(second).not.toBe(first);
        await expect(requirePorts(second, first)).resolves.toBeUndefined();
      } finally {
        await new Promise((resolve) => neighbour.close(resolve));
      }
    },
  );

  it('takes free ports as they are', async () => {
    await new Promise((resolve) => taken.close(resolve));
    await expect(requirePorts(port, await freePort())).resolves.toBeUndefined();
    await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  });

  it('refuses one port for the service and its console', async () => {
    await expect(requirePorts(port, port)).rejects.toThrow(`cannot both have port ${port}`);
  });

  it('gives the console another port than the service', async () => {
    expect(await chooseConsolePort(8080)).not.toBe(8080);
  });

  it('knows the line with which the service says that the port of its console is taken', async () => {
    const why = async (key: string) =>
      listen(() => undefined, port, key).then(
        () => 'nothing',
        (error: Error) => error.message,
      );
    expect(saysConsolePortTaken(await why('network.console_port'))).toBe(true);
    expect(saysConsolePortTaken(await why('network.internal_port'))).toBe(false);
  });

  it.each(['0', '65536', '-1', '80a', '', '1e3', '8.5'])('refuses %p as a port', (text) => {
    expect(parsePort(text)).toBeUndefined();
  });
});

describe('the configuration of bot up', () => {
  const folder = temporaryFolder();

  it.each([
    [8000, 8080],
    [18789, 8080],
    [18790, 18789],
  ])('is one that the service accepts, on ports %d and %d', (port, consolePort) => {
    const run = createRunFolder(
      { port, consolePort, modelPath: '/models/a b: "c".gguf' },
      { XDG_RUNTIME_DIR: folder() },
    );
    const config = loadConfig(run.configFile, { GENERATED_KEY: 'k'.repeat(64) });
    expect(config).toMatchObject({
      model_path: '/models/a b: "c".gguf',
      network: { internal_port: port, console_port: consolePort },
      security: { api_key: 'k'.repeat(64) },
    });
  });

  it('is for its user alone, holds no key, and goes away', () => {
    const run = createRunFolder({ port: 1, consolePort: 2, modelPath: '/m' }, { XDG_RUNTIME_DIR: folder() });
    expect(statSync(run.path).mode & 0o777).toBe(0o700);
    expect(statSync(run.configFile).mode & 0o777).toBe(0o600);
    expect(readFileSync(run.configFile, 'utf8')).toContain('api_key: ${GENERATED_KEY}');
    run.remove();
    expect(() => statSync(run.path)).toThrow('ENOENT');
  });
});

it('prints a curl line that a shell reads as it is meant, whatever the model is called', () => {
  const line = curlLine('http://127.0.0.1:1', `it's "a" $HOME \`model\``, 'a.b.c');
  expect(line).not.toContain('\n');
  // The shell takes the line apart; printf shows what curl would get.
  const { stdout } = spawnSync('sh', ['-c', line.replace(/^curl/, `printf '%s\\n'`)], { encoding: 'utf8' });
  const words = stdout.trimEnd().split('\n');
  expect(words.slice(0, 3)).toEqual([
    'http://127.0.0.1:1/v1/chat/completions',
    '-H',
    'Authorization: Bearer a.b.c',
  ]);
  expect(JSON.parse(words.at(-1) ?? '')).toMatchObject({ model: `it's "a" $HOME \`model\`` });
});
