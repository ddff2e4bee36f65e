import { chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { writeAtomically } from '../../../runtime/src/files/atomic-write';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();
const asRoot = process.getuid?.() === 0 ? test : test.skip;

test('gives the file the mode it is told, whatever the umask, and leaves nothing beside it', async () => {
  const file = join(folder(), 'config.yaml');
  writeFileSync(file, 'old');
  const before = process.umask(0o077);
  try {
    await writeAtomically(file, 'new', 0o644);
  } finally {
    process.umask(before);
  }
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(statSync(file).mode & 0o777).toBe(0o644);
  expect(readdirSync(folder())).toEqual(['config.yaml']);
});

asRoot('gives it to the owner it is told, else to the owner of its folder', async () => {
  const file = join(folder(), 'config.yaml');
  chownSync(folder(), 0, 4321);
  await writeAtomically(file, 'x', 0o640);
  expect(statSync(file)).toMatchObject({ uid: 0, gid: 4321 });
  await writeAtomically(file, 'y', 0o640, { uid: 1234, gid: 0 });
  expect(statSync(file)).toMatchObject({ uid: 1234, gid: 0 });
});
