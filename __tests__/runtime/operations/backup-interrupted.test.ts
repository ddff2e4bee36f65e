/** A backup that is ended by a signal, and what an earlier one has left. The real command: it is its exit code that counts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { backUp } from '../../../runtime/src/operations/backup';
import { layoutAt } from '../../../runtime/src/operations/layout';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';

const folder = temporaryFolder();
const backups = () => join(folder(), 'backups');

beforeEach(() => {
  mkdirSync(join(folder(), 'etc/bot'), { recursive: true });
  mkdirSync(join(folder(), 'bin'));
  mkdirSync(backups());
  writeFileSync(join(folder(), 'etc/bot/config.yaml'), 'model_path: /none.gguf\n');
});

/** A tar that says that it runs and does not end, and a child of it, as gzip is one. */
function slowTar(): void {
  const script = `#!/bin/sh\nsleep 60 &\necho $! $$ > '${folder()}/pids.new'\nmv '${folder()}/pids.new' '${folder()}/pids'\nwait\n`;
  writeFileSync(join(folder(), 'bin/tar'), script, { mode: 0o755 });
}

/** One that has ended, but whom no parent has asked for, has no command any more. */
const isAlive = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false;
  }
};

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends tar, leaves nothing behind, and the exit code is %d', async (signal, exitCode) => {
  slowTar();
  const bot = join(REPOSITORY, 'runtime/src/cli/bot.ts');
  const args = ['--import', 'tsx', bot, 'backup', '--root', folder(), '--to', backups()];
  const child = spawn(process.execPath, args, {
    cwd: REPOSITORY,
    env: { ...process.env, PATH: `${join(folder(), 'bin')}:${process.env['PATH']}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const ended = once(child, 'close');
  while (!existsSync(join(folder(), 'pids')) && child.exitCode === null) await sleep(50);
  const pids = readFileSync(join(folder(), 'pids'), 'utf8').trim().split(' ');
  expect(pids.filter(isAlive)).toEqual(pids);
  child.kill(signal);
  expect((await ended)[0]).toBe(exitCode);
  expect(errors).toBe(`error: ended by ${signal}, nothing was changed; run it again\n`);
  expect(readdirSync(backups())).toEqual([]);
  expect(pids.filter(isAlive)).toEqual([]);
});

test('what a killed one has left goes with the next backup, and what another one uses stays', async () => {
  const left = mkdtempSync(join(backups(), '.staging-'));
  const used = mkdtempSync(join(backups(), '.staging-'));
  const restoring = mkdtempSync(join(backups(), '.restore-'));
  for (const path of [left, used, restoring]) writeFileSync(join(path, 'tls.key'), '');
  const longAgo = new Date(Date.now() - 3_600_000);
  for (const path of [left, restoring]) utimesSync(path, longAgo, longAgo);
  const { path } = await backUp({ layout: layoutAt(folder()), version: '1', directory: backups() });
  expect(
    readdirSync(backups())
      .map((name) => join(backups(), name))
      .sort(),
  ).toEqual([path, used, restoring].sort());
});
