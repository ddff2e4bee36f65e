import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { killAllOf, processesOf } from './processes-of-folder';

const onLinux = process.platform === 'linux' ? describe : describe.skip;

onLinux('the processes of a folder', () => {
  let folder: string;
  const started: ChildProcess[] = [];
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'botstack-test-'))));
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** A shell that starts another program each time that one has ended. */
  async function start(env: NodeJS.ProcessEnv): Promise<ChildProcess> {
    const child = spawn('sh', ['-c', 'while :; do sleep 60 & echo started; wait; done'], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    await once(child.stdout!, 'data');
    return child;
  }

  test('are killed after the folder is gone, and what they start meanwhile; no others', async () => {
    const run = await start({ TMPDIR: folder });
    const other = await start({ TMPDIR: `${tmpdir()}/other` });
    const commands = processesOf(folder).map(({ command }) => command.split(' ')[0]);
    expect(commands.sort()).toEqual(['sh', 'sleep']);

    rmSync(folder, { recursive: true });
    await killAllOf(folder);
    expect(processesOf(folder)).toEqual([]);
    expect(run.signalCode ?? (await once(run, 'exit'))[1]).toBe('SIGKILL');
    expect(other.exitCode ?? other.signalCode).toBeNull();
    await killAllOf(`${tmpdir()}/other`);
  });
});
