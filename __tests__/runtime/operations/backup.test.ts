/** What is said of a backup that cannot be put back. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { backUp, unpackVerified } from '../../../runtime/src/operations/backup';
import { layoutAt } from '../../../runtime/src/operations/layout';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();
const into = () => join(folder(), 'into');
const archive = () => join(folder(), 'backup.tar.gz');

beforeEach(() => {
  mkdirSync(into());
  mkdirSync(join(folder(), 'etc/bot'), { recursive: true });
  // Not to be compressed: a byte that changes is one of its content.
  for (const name of ['a', 'b']) writeFileSync(join(folder(), 'etc/bot', name), randomBytes(5000));
});

async function backup(): Promise<Buffer> {
  const { path } = await backUp({ layout: layoutAt(folder()), version: '1' });
  return readFileSync(path);
}

function unpack(content: Uint8Array | string) {
  writeFileSync(archive(), content);
  return unpackVerified(archive(), into());
}

test('a whole one is unpacked', async () => {
  expect((await unpack(await backup())).files).toHaveLength(2);
  expect(readdirSync(join(into(), 'etc/bot'))).toEqual(['a', 'b']);
});

test('one with a colon in its name, which tar would take for a machine', async () => {
  const named = join(folder(), 'bot:1.tar.gz');
  writeFileSync(named, await backup());
  const cwd = process.cwd();
  process.chdir(folder());
  try {
    expect((await unpackVerified('bot:1.tar.gz', into())).files).toHaveLength(2);
  } finally {
    process.chdir(cwd);
  }
});

test('one that is not there', async () => {
  await expect(unpackVerified('/none/nothere', into())).rejects.toThrow(
    'there is no file /none/nothere; name one that `bot backup` has written: they are in /var/backups/bot unless it was told another folder',
  );
});

test('a folder', async () => {
  await expect(unpackVerified(folder(), into())).rejects.toThrow(`${folder()} is not a file; name`);
});

test.each([
  ['cut short', (whole: Buffer) => whole.subarray(0, whole.length / 2), 'unexpected end of file'],
  ['with other bytes in it', (whole: Buffer) => whole.fill(7, 3000, 3060), '.+'],
  ['that is none', () => Buffer.from('no archive at all'), 'not in gzip format'],
  ['that is empty', () => Buffer.alloc(0), 'it is empty'],
])('one %s', async (_how, damage, reason) => {
  await expect(unpack(damage(await backup()))).rejects.toThrow(
    new RegExp(
      `^${archive()} is damaged \\(${reason}\\), nothing was changed; copy it again and compare its SHA-256, or take another backup$`,
    ),
  );
});

test('one with another content than its manifest says', async () => {
  await unpack(await backup());
  const manifest = {
    schema: 1,
    version: '1',
    createdAt: '',
    files: [{ path: 'etc/bot/c', bytes: 1, sha256: '0'.repeat(64) }],
  };
  writeFileSync(join(into(), 'manifest.json'), JSON.stringify(manifest));
  const changed = join(folder(), 'changed.tar.gz');
  spawnSync('tar', ['-C', into(), '-czf', changed, '.']);
  await expect(unpackVerified(changed, join(folder(), 'etc'))).rejects.toThrow(
    `${changed} is damaged (etc/bot/c is missing; `,
  );
});

test('an archive of something else', async () => {
  const other = join(folder(), 'other.tar.gz');
  spawnSync('tar', ['-C', join(folder(), 'etc'), '-czf', other, '.']);
  await expect(unpackVerified(other, into())).rejects.toThrow(
    `${other} holds no manifest that this version reads: it is no backup of bot; name`,
  );
});
