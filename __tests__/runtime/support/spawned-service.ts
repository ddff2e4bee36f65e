/** The compiled `bot serve` as a process of its own, as systemd runs it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../../support/free-port';
import { REPOSITORY } from '../../support/test-model';
import { API_KEY } from './test-service';

export const BOT = join(REPOSITORY, 'runtime', 'dist', 'cli', 'bot.js');

export interface SpawnedService {
  readonly process: ChildProcess;
  readonly url: string;
  readonly consoleUrl: string;
  readonly configFile: string;
  /** Standard output and error so far. */
  output(): string;
  /** Resolves to the exit code, or to the signal's name. */
  readonly exited: Promise<number | string>;
  /** Waits until /readyz says 200. */
  ready(): Promise<void>;
  /** Process ids of its children: the engine. */
  children(): readonly number[];
  /** Ends it and waits, whatever state it is in. */
  dispose(): Promise<void>;
}

/** Writes `config` (JSON is YAML) with free ports into the folder, and starts the service with it. */
export async function spawnService(
  folder: string,
  config: Record<string, unknown>,
  env: Readonly<Record<string, string>> = {},
  /** A command that becomes the service: it gets the service's command line as its arguments. */
  wrapper: readonly string[] = [],
): Promise<SpawnedService> {
  const [internal, console] = [await freePort(), await freePort()];
  const configFile = join(folder, 'config.yaml');
  const network = { internal_port: internal, console_port: console };
  writeFileSync(
    configFile,
    JSON.stringify({ security: { api_key: '${TEST_KEY}' }, network, state_directory: folder, ...config }),
  );

  const [program = '', ...args] = [...wrapper, process.execPath, BOT, 'serve', '--config', configFile];
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], TEST_KEY: API_KEY, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const exited = new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const url = `http://127.0.0.1:${internal}`;

  return {
    process: child,
    url,
    consoleUrl: `http://127.0.0.1:${console}`,
    configFile,
    output: () => output,
    exited,
    async ready() {
      const deadline = Date.now() + 90_000;
      for (;;) {
        const probe = await fetch(`${url}/readyz`).catch(() => undefined);
        if (probe?.status === 200) return;
        if (child.exitCode !== null || Date.now() > deadline)
          throw new Error(`the service did not get ready: ${output}`);
        await sleep(50);
      }
    },
    children: () =>
      readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
        .trim()
        .split(' ')
        .filter(Boolean)
        .map(Number),
    async dispose() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}
