/** What an upgrade looks at before it changes anything. With releases whose command is this checkout's. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { installationOf } from '../../../runtime/src/cli/commands/operation-options';
import { layoutAt } from '../../../runtime/src/operations/layout';
import { addRelease, markProved, removeOldReleases } from '../../../runtime/src/operations/release';
import { upgrade } from '../../../runtime/src/operations/upgrade';
import { sha256 } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';
import { API_KEY } from '../support/test-service';

const folder = temporaryFolder();
const path = (...parts: string[]) => join(folder(), ...parts);

function release(name: string, version: string): void {
  mkdirSync(path('opt/bot/releases', name, 'bin'), { recursive: true });
  writeFileSync(path('opt/bot/releases', name, 'VERSION'), JSON.stringify({ version }));
  const bot = join(REPOSITORY, 'runtime/src/cli/bot.ts');
  const script = `#!/bin/sh\ncd '${REPOSITORY}' && exec '${process.execPath}' --import tsx '${bot}' "$@"\n`;
  writeFileSync(path('opt/bot/releases', name, 'bin/bot'), script, { mode: 0o755 });
}

/** @returns the path of one whose name has the digits of its SHA-256 */
function bundle(version: string): string {
  release(`bundle-${version}`, version);
  const packed = path('packed.tar.gz');
  spawnSync('tar', ['-C', path('opt/bot/releases', `bundle-${version}`), '-czf', packed, '.']);
  rmSync(path('opt/bot/releases', `bundle-${version}`), { recursive: true });
  const named = path(`bot-${version}-${sha256(readFileSync(packed)).slice(0, 12)}.tar.gz`);
  renameSync(packed, named);
  return named;
}

test('says all that the new version does not take in the configuration, and changes nothing', async () => {
  release('aaaaaaaaaaaa', '1.0.0');
  release('bbbbbbbbbbbb', '2.0.0');
  symlinkSync('releases/aaaaaaaaaaaa', path('opt/bot/current'));
  mkdirSync(path('etc/bot'), { recursive: true });
  const file = path('etc/bot/config.yaml');
  writeFileSync(file, `api_key: ${API_KEY}\nmodel_path: /none.gguf\nstate_directory: /none\n`);
  const installation = await installationOf({ root: folder(), serviceCommand: 'false' });
  const refused = upgrade(installation, { version: '2.0.0' });
  const what = 'version 2.0.0 does not take the configuration, nothing was changed:\n';
  await expect(refused).rejects.toThrow(`${what}${file}: \`model_path\` names /none.gguf, which is not`);
  await expect(refused).rejects.toThrow(`\n${file}: \`state_directory\` names /none, which is not`);
  expect(readlinkSync(path('opt/bot/current'))).toBe('releases/aaaaaaaaaaaa');
});

test('does not keep a bundle that it refuses', async () => {
  release('aaaaaaaaaaaa', '1.0.0');
  symlinkSync('releases/aaaaaaaaaaaa', path('opt/bot/current'));
  mkdirSync(path('etc/bot'), { recursive: true });
  writeFileSync(path('etc/bot/config.yaml'), `api_key: ${API_KEY}\nmodel_path: /none.gguf\n`);
  const installation = await installationOf({ root: folder(), serviceCommand: 'false' });
  const from = bundle('2.0.0');
  await expect(upgrade(installation, { version: '2.0.0', from })).rejects.toThrow('does not take the config');
  await expect(upgrade(installation, { version: '3.0.0', from })).rejects.toThrow('is version 2.0.0, not 3');
  expect(readdirSync(path('opt/bot/releases'))).toEqual(['aaaaaaaaaaaa']);
});

test('one that has never answered takes the place of none that has', async () => {
  const layout = layoutAt(folder());
  const old = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'];
  old.forEach((name, index) => release(name, `1.0.${index}`));
  const add = (version: string) => {
    const from = bundle(version);
    return addRelease(layout, from, sha256(readFileSync(from)));
  };
  const here = () => readdirSync(layout.releases).sort();
  const failed = await add('2.0.0');
  const next = await add('2.0.1');
  expect(here()).toEqual([...old, next.name].sort());
  expect(here()).not.toContain(failed.name);
  await markProved(next);
  const again = await add('2.0.0');
  expect(here()).toEqual([...old, next.name, again.name].sort());
  await removeOldReleases(layout, [next]);
  expect(here()).toEqual([...old, next.name].sort());
});
