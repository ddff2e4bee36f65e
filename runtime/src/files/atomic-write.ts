/** Replaces a file as a whole: whoever reads it sees the old content or the new, also after a power cut. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Written by root (a command with sudo), the file is given to `owner`: by default that of its folder, so that the
 * service, which is not root, can read and replace it.
 */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array,
  mode = 0o600,
  owner?: Owner,
): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  const folder = dirname(path);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      if (process.getuid?.() === 0) {
        const { uid, gid } = owner ?? (await stat(folder));
        await file.chown(uid, gid);
      }
      // The umask has taken from it.
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // The rename itself is on disk once the folder is.
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
