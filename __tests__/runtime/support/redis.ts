/** Debian's redis-server on a free loopback port, for one test file. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../../support/free-port';

const isInstalled = spawnSync('redis-server', ['--version']).status === 0;

/** `describe` where there is a redis-server; elsewhere the tests are skipped and the reason stands in their name. */
export const describeWithRedis: (name: string, tests: () => void) => void = isInstalled
  ? describe
  : (name, tests) => describe.skip(`${name} (no redis-server: apt-get install redis-server)`, tests);

export interface TestRedis {
  readonly url: string;
  start(): Promise<void>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

/** Call inside a `describeWithRedis`: a server that keeps nothing on disk, and has ended after each test. */
export function useRedis(): () => Promise<TestRedis> {
  const running: TestRedis[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((redis) => redis.kill()));
  });
  return async () => {
    const redis = createRedis(await freePort());
    running.push(redis);
    await redis.start();
    return redis;
  };
}

function createRedis(port: number): TestRedis {
  let child: ChildProcess | undefined;
  return {
    url: `redis://127.0.0.1:${port}`,
    async start() {
      const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
      child = spawn('redis-server', [...flags, '--maxmemory', '16mb', '--loglevel', 'warning'], {
        stdio: 'ignore',
      });
      const deadline = Date.now() + 40_000;
      while (!(await answers(port))) {
        if (Date.now() > deadline || child.exitCode !== null) throw new Error('redis-server did not start');
        await sleep(20);
      }
    },
    signal(name) {
      child?.kill(name);
    },
    async kill() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child?.once('close', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
