/** What is said of a backup that cannot be put back. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
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

test('of a link among the settings, the file that it leads to; not one that leads nowhere', async () => {
  const certificate = join(folder(), 'live.pem');
  writeFileSync(certificate, 'a certificate', { mode: 0o640 });
  mkdirSync(join(folder(), 'etc/bot/tls'));
  symlinkSync(certificate, join(folder(), 'etc/bot/tls/chain.pem'));
  symlinkSync('../a', join(folder(), 'etc/bot/tls/relative'));
  symlinkSync('/none', join(folder(), 'etc/bot/dangling'));
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  const { path } = await backUp({ layout: layoutAt(folder()), version: '1', warn });
  expect((await unpackVerified(path, into())).files).toHaveLength(4);
  const restored = join(into(), 'etc/bot/tls/chain.pem');
  expect(readFileSync(restored, 'utf8')).toBe('a certificate');
  expect([lstatSync(restored).isFile(), lstatSync(restored).mode & 0o777]).toEqual([true, 0o640]);
  expect(readFileSync(join(into(), 'etc/bot/tls/relative'))).toEqual(
    readFileSync(join(folder(), 'etc/bot/a')),
  );
  expect(warnings).toEqual([`${folder()}/etc/bot/dangling is a link to nothing, and not in the backup`]);
  // What it leads to is as it was.
  expect(readFileSync(certificate, 'utf8')).toBe('a certificate');
});

test.each([
  ['etc/bot/tls', 'is a link to what is no file; remove it, or put there what it leads to'],
  // The service may write there, and root would read for it.
  ['var/lib/bot/shadow', 'is neither a file nor a folder; remove it, or move it elsewhere'],
])('no link to a folder, and none where the service may put one: %s', async (name, reason) => {
  mkdirSync(join(folder(), 'var/lib/bot'), { recursive: true });
  symlinkSync(name.startsWith('etc') ? '/usr' : '/etc/passwd', join(folder(), name));
  await expect(backup()).rejects.toThrow(`${name} ${reason}`);
});

test('changes no settings that are a link themselves', async () => {
  renameSync(join(folder(), 'etc/bot'), join(folder(), 'settings'));
  symlinkSync(join(folder(), 'settings'), join(folder(), 'etc/bot'));
  symlinkSync('/none', join(folder(), 'settings/dangling'));
  await expect(backup()).rejects.toThrow('etc/bot is neither a file nor a folder');
  expect(readdirSync(join(folder(), 'settings'))).toEqual(['a', 'b', 'dangling']);
});
