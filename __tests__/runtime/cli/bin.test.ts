import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';

/** The shell scripts as they lie in a checkout and in a bundle, around a program that says how it was called. */
describe('bin/bot and bin/generate_token.sh', () => {
  const folder = temporaryFolder();
  const place = (...path: string[]) => {
    const file = join(folder(), ...path);
    mkdirSync(dirname(file), { recursive: true });
    return file;
  };
  const program = (...path: string[]) =>
    writeFileSync(place(...path), `console.log(process.argv0, process.argv.slice(2).join(' '))`);
  const run = (script: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(folder(), 'bin', script), args, { encoding: 'utf8' });
    return { status, stdout: stdout.trim(), stderr: stderr.trim() };
  };
  beforeEach(() => cpSync(join(REPOSITORY, 'runtime', 'bin'), place('bin'), { recursive: true }));

  it('take the Node on PATH in a checkout', () => {
    program('dist', 'cli', 'bot.js');
    expect(run('bot', 'serve', '--config', 'a b')).toMatchObject({
      status: 0,
      stdout: 'node serve --config a b',
    });
    expect(run('generate_token.sh', '--user', 'x')).toMatchObject({
      status: 0,
      stdout: 'node token --user x',
    });
    expect(run('upgrade.sh', '--version', '1.2.3').stdout).toBe('node upgrade --version 1.2.3');
    expect(run('model_loader', '--path', 'x').stdout).toBe('node model load --path x');
  });

  it('say how to compile what is not compiled', () => {
    expect(run('bot', '--version')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'bot: the runtime is not compiled yet; in the checkout, run: npm run setup',
    });
  });

  it('take their own Node in a bundle, and no other', () => {
    program('app', 'dist', 'cli', 'bot.js');
    expect(run('bot').status).not.toBe(0);
    symlinkSync(process.execPath, place('bin', 'node'));
    expect(run('bot', '--version').stdout).toMatch(/\/bin\/node --version$/);
    expect(run('generate_token.sh').stdout).toMatch(/\/bin\/node token$/);
  });
});

test('bot goes on to its end where nobody reads what it says', () => {
  const bot = [process.execPath, '--import', 'tsx', join(REPOSITORY, 'runtime', 'src', 'cli', 'bot.ts')].join(
    ' ',
  );
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', `{ ${bot} doctor --config /nowhere; echo $? >&3; } 3>&1 1> >(exec true)`],
    { cwd: REPOSITORY, encoding: 'utf8' },
  );
  expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: '1', stderr: '' });
});
