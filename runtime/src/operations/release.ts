/** Releases side by side: one unpacked bundle a folder, and `current`, which links to the one that runs. */
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';

import { sha256Of } from '../models/cache.js';
import { megabytes } from '../models/progress.js';
import { isThere } from './backup.js';
import type { Layout } from './layout.js';
import { mustRun } from './run-command.js';

/** A bundle unpacked is some four times as large as packed; the rest is reserve. */
const SPACE_FACTOR = 6;
/** Releases that stay: the one that runs, and those before it to go back to. */
const KEPT = 3;
/** In a release's folder from when it is unpacked to when it has answered: one that never has takes nobody's place. */
const UNPROVED = 'UNPROVED';

export interface Release {
  /** Its folder's name below releases/: the first 12 digits of the bundle's SHA-256. */
  readonly name: string;
  readonly folder: string;
  readonly version: string;
}

/** The release that runs. @throws Error where `current` is no link to one */
export async function currentRelease(layout: Layout): Promise<Release> {
  try {
    return await readRelease(layout, basename(await readlink(layout.current)));
  } catch (error) {
    throw new Error(
      `${layout.current} is no link to a release (${(error as Error).message}): ` +
        'this works on a machine that was set up by the deployment',
      { cause: error },
    );
  }
}

/** Newest first. What is no release is passed over. */
export async function installedReleases(layout: Layout): Promise<readonly Release[]> {
  const names = (await readdir(layout.releases)).filter((name) => /^[0-9a-f]{12}$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => ({
      time: (await lstat(join(layout.releases, name))).ctimeMs,
      release: await readRelease(layout, name).catch(() => undefined),
    })),
  );
  return found
    .sort((a, b) => b.time - a.time)
    .flatMap(({ release }) => (release === undefined ? [] : [release]));
}

async function readRelease(layout: Layout, name: string): Promise<Release> {
  const folder = join(layout.releases, name);
  return { name, folder, version: (await readVersionFile(folder)).version };
}

async function readVersionFile(folder: string): Promise<{ version: string; platform: string | undefined }> {
  const { version, platform } = JSON.parse(await readFile(join(folder, 'VERSION'), 'utf8')) as {
    version?: unknown;
    platform?: unknown;
  };
  if (typeof version !== 'string') throw new Error(`${folder}/VERSION names no version`);
  return { version, platform: typeof platform === 'string' ? platform : undefined };
}

/**
 * Checks a bundle and unpacks it beside the others; its folder is either whole or not there.
 *
 * @param expected its SHA-256, whole or the first 12 digits
 * @throws Error that says what is wrong with it
 */
export async function addRelease(layout: Layout, bundle: string, expected: string): Promise<Release> {
  if (!(await isThere(bundle))) throw new Error(`there is no file ${bundle}`);
  const sha256 = await sha256Of(bundle);
  if (!sha256.startsWith(expected.toLowerCase())) {
    throw new Error(
      `${bundle} is not what it should be: expected SHA-256 ${expected}, got ${sha256}; fetch it again`,
    );
  }
  const name = sha256.slice(0, 12);
  if (await isThere(join(layout.releases, name))) return readRelease(layout, name);
  await removeUnproved(layout);
  await checkSpace(layout, bundle);
  const unpacked = await mkdtemp(join(layout.releases, `${name}.`));
  try {
    const content = join(unpacked, 'content');
    await mkdir(content, { mode: 0o755 });
    await mustRun(['tar', '-C', content, '--no-same-owner', '-xzf', bundle], `unpacking ${bundle}`);
    await checkPlatform(content, bundle);
    await mustRun([join(content, 'bin/bot'), '--version'], `a first start of the new release`);
    await writeFile(join(content, UNPROVED), '');
    await mustRun(['sync', '-f', content], 'writing the release to the disk');
    await rename(content, join(layout.releases, name));
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
  return readRelease(layout, name);
}

async function checkSpace({ releases }: Layout, bundle: string): Promise<void> {
  const { bavail, bsize } = await statfs(releases);
  const needed = (await lstat(bundle)).size * SPACE_FACTOR;
  if (bavail * bsize >= needed) return;
  throw new Error(
    `${releases} has ${megabytes(bavail * bsize)} free, ${megabytes(needed)} are needed; free some room`,
  );
}

async function checkPlatform(folder: string, bundle: string): Promise<void> {
  const { platform } = await readVersionFile(folder).catch(() => {
    throw new Error(`${bundle} is no bundle of bot: it holds no VERSION`);
  });
  const here = `linux-${process.arch}`;
  if (platform !== undefined && platform !== here) {
    throw new Error(`${bundle} is made for ${platform}, this machine is ${here}`);
  }
}

/** In one step: whoever looks sees the old release or the new one. */
export async function switchTo(layout: Layout, release: Release): Promise<void> {
  const next = `${layout.current}.new`;
  await rm(next, { force: true });
  // Relative, as the bootstrap makes it.
  await symlink(join('releases', release.name), next);
  await rename(next, layout.current);
}

/** It answers, so from now on it is one to go back to. */
export async function markProved({ folder }: Release): Promise<void> {
  await rm(join(folder, UNPROVED), { force: true });
}

/** Never one of `needed`. Those that have never answered go first, and all of them. */
export async function removeOldReleases(layout: Layout, needed: readonly Release[]): Promise<void> {
  await removeUnproved(layout, needed);
  const others = await releasesBut(layout, needed);
  await removeAll(others.slice(Math.max(0, KEPT - needed.length)));
}

/** What upgrades have refused or taken back. */
export async function removeUnproved(layout: Layout, needed: readonly Release[] = []): Promise<void> {
  const others = await releasesBut(layout, needed);
  const isUnproved = await Promise.all(others.map(({ folder }) => isThere(join(folder, UNPROVED))));
  await removeAll(others.filter((_, index) => isUnproved[index]));
}

async function releasesBut(layout: Layout, needed: readonly Release[]): Promise<readonly Release[]> {
  const all = await installedReleases(layout);
  return all.filter(({ name }) => !needed.some((release) => release.name === name));
}

async function removeAll(releases: readonly Release[]): Promise<void> {
  for (const { folder } of releases) await rm(folder, { recursive: true, force: true });
}
