import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from './temporary-folder';
import { REPOSITORY } from './test-model';

const SETUP = join(__dirname, 'folder-of-run.mjs');
const place = temporaryFolder();
const started: ChildProcess[] = [];
afterEach(() => started.splice(0).forEach((child) => child.kill('SIGKILL')));

/** What Jest does: calls it, then runs tests, here until it is killed. */
async function startRun() {
  const script = `
    import giveFolder from ${JSON.stringify(SETUP)};
    await giveFolder();
    process.stdout.write(process.env.TMPDIR);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, TMPDIR: place() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const [bytes] = (await once(child.stdout, 'data')) as [Buffer];
  const folder = bytes.toString();
  mkdirSync(join(folder, 'left', 'there'), { recursive: true });
  const kill = async (signal: NodeJS.Signals) => {
    const exited = once(child, 'exit');
    child.kill(signal);
    expect(await exited).toEqual([null, signal]);
  };
  return { folder, kill };
}

describe('the temporary folder of a run of tests', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('goes with a run that %s ends', async (signal) => {
    const { folder, kill } = await startRun();
    expect(folder).toMatch(new RegExp(`^${place()}/bst-\\w{6}$`));
    expect(statSync(folder).mode & 0o7777).toBe(0o1777);
    await kill(signal);
    expect(readdirSync(place())).toEqual([]);
  });

  test('goes at a later run where it was killed, and that of one that still runs does not', async () => {
    const [killed, running] = [await startRun(), await startRun()];
    await killed.kill('SIGKILL');
    expect(existsSync(join(killed.folder, 'left', 'there'))).toBe(true);
    mkdirSync(join(place(), 'bst-of-others'));
    const later = await startRun();
    expect(existsSync(killed.folder)).toBe(false);
    expect(existsSync(join(running.folder, 'left', 'there'))).toBe(true);
    expect(existsSync(join(place(), 'bst-of-others'))).toBe(true);
    await later.kill('SIGTERM');
  });

  test.each([
    ['passes', 0],
    ['fails', 1],
  ])('is Jest’s, and goes where a test %s', (_what, status) => {
    const [base, project] = ['base', 'project'].map((name) => join(place(), name)) as [string, string];
    for (const folder of [base, project]) mkdirSync(folder);
    const said = join(project, 'said');
    writeFileSync(
      join(project, 'one.test.js'),
      `test('one', () => {
        const { mkdtempSync, writeFileSync } = require('node:fs');
        const made = mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'x'));
        writeFileSync(${JSON.stringify(said)}, made);
        expect(${status}).toBe(0);
      });`,
    );
    const config = JSON.stringify({
      rootDir: project,
      globalSetup: SETUP,
      cacheDirectory: join(project, 'cache'),
    });
    const jest = join(REPOSITORY, 'node_modules', 'jest', 'bin', 'jest.js');
    const run = spawnSync(process.execPath, [jest, '--config', config], {
      env: { ...process.env, TMPDIR: base },
      encoding: 'utf8',
    });
    expect({ status: run.status, output: run.stderr }).toMatchObject({ status });
    expect(readFileSync(said, 'utf8')).toMatch(new RegExp(`^${base}/bst-\\w{6}/x\\w{6}$`));
    expect(readdirSync(base)).toEqual([]);
  });

  test('is that of this run', () => {
    expect(place()).toMatch(/\/bst-\w{6}\/botstack-test-\w{6}$/);
  });
});
