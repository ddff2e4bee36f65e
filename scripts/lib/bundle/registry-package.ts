/** One package of the registry, checked by its integrity and unpacked; npm's own rules of platform do not apply. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import * as tar from 'tar';

export interface PinnedPackage {
  readonly name: string;
  readonly version: string;
  /** `sha512-` and base64, as in a lock file of npm. */
  readonly integrity: string;
}

/**
 * @param folder where the package's content goes
 * @param only paths inside the package; everything when left out
 */
export async function unpackPackage(
  pinned: PinnedPackage,
  folder: string,
  only?: readonly string[],
): Promise<void> {
  const { npm } = await import('../npm.mjs');
  mkdirSync(folder, { recursive: true });
  const download = mkdtempSync(join(folder, '.download-'));
  try {
    await npm(['pack', `${pinned.name}@${pinned.version}`, '--pack-destination', download], download);
    const [name] = readdirSync(download).filter((file) => file.endsWith('.tgz'));
    if (name === undefined) throw new Error(`npm pack ${pinned.name} left no file`);
    const file = join(download, name);
    checkIntegrity(file, pinned);
    await tar.extract({
      file,
      cwd: folder,
      strip: 1,
      filter: (path) => only === undefined || only.includes(path.replace(/^[^/]+\//, '')),
    });
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

function checkIntegrity(file: string, { name, version, integrity }: PinnedPackage): void {
  const got = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  if (got === integrity) return;
  throw new Error(
    `${name} ${version} from the registry is not the package that was pinned: expected ${integrity}, got ${got}; ` +
      "clear npm's cache (npm cache clean --force) and try again; if it stays so, do not use this registry",
  );
}

/** Version and integrity of a package as runtime/package-lock.json pins them. */
export function pinnedInLock(lockFile: string, name: string): PinnedPackage {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as {
    packages: Record<string, { version?: string; integrity?: string }>;
  };
  const { version, integrity } = packages[`node_modules/${name}`] ?? {};
  if (version === undefined || integrity === undefined) {
    throw new Error(`${lockFile} does not pin ${name} by version and integrity: run npm install in runtime/`);
  }
  return { name, version, integrity };
}
