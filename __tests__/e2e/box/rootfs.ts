/**
 * The guests' root file system: Debian by mmdebstrap, with what Debian's own cloud images hold that matters here.
 * Built once per recipe and kept in the user's cache; an instance is an overlay on top of it (no copy).
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { retried, run } from './commands';
import { mountsBelow } from './mounts';
import { type PackageMirror, sourcesList } from './package-mirror';
import { identify } from './process-identity';
import type { RunFolder } from './run-folder';

export type GuestOs = 'debian-12' | 'debian-13';

const SUITES: Record<GuestOs, string> = { 'debian-12': 'bookworm', 'debian-13': 'trixie' };

const COMMON_PACKAGES = [
  ...[
    'systemd',
    'systemd-sysv',
    'dbus',
    'udev',
    'cloud-init',
    'openssh-server',
    'sudo',
    'iproute2',
    'netplan.io',
  ],
  ...[
    'systemd-resolved',
    'systemd-timesyncd',
    'netbase',
    'ca-certificates',
    'curl',
    'logrotate',
    'cron',
    'procps',
  ],
  ...['e2fsprogs', 'cloud-guest-utils', 'fdisk', 'gdisk', 'kmod', 'apt-utils'],
];
const PACKAGES: Record<GuestOs, string[]> = {
  'debian-12': [...COMMON_PACKAGES, 'isc-dhcp-client', 'iputils-ping'],
  'debian-13': [...COMMON_PACKAGES, 'dhcpcd-base'],
};

/** What makes the tree a pristine machine image. Counted into the recipe, so that a change builds a new one. */
const FILES: Record<string, string> = {
  // netplan on Debian 12 matches PermanentMACAddress, which a virtual cable lacks: hence the networkd renderer.
  // The sources list is the box's (the host's own mirror), so cloud-init must not write its own.
  '/etc/cloud/cloud.cfg.d/99_box.cfg': [
    'datasource_list: [Ec2, None]',
    'locale: C.UTF-8',
    'system_info: {network: {renderers: [networkd]}}',
    'apt: {preserve_sources_list: true}',
    '',
  ].join('\n'),
  '/etc/machine-id': '',
};

/** sed scripts for /etc/cloud/cloud.cfg. */
const EDITS: Record<GuestOs, string[]> = {
  'debian-12': [],
  // There is no udev in a container, and this cloud-init fails when it cannot tell udev about hot-plugging.
  'debian-13': ['/install_hotplug/d;/install-hotplug/d'],
};

/** The folder that holds the root file system, built first when it is not there. Takes about a minute, once. */
export async function ensureRootFileSystem(
  os: GuestOs,
  mirror: PackageMirror,
  log: (text: string) => void,
): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'botstack', 'e2e');
  const recipe = JSON.stringify([
    SUITES[os],
    PACKAGES[os],
    FILES,
    EDITS[os],
    'minbase with security updates',
  ]);
  const target = join(cache, `${os}-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`);
  if (existsSync(target)) return target;
  log(`building the guest's root file system (${os}) once, in ${target}`);
  mkdirSync(cache, { recursive: true });
  removeUnfinished(cache, target);
  const unfinished = `${target}.${process.pid}`;
  try {
    await retried(async () => {
      rmSync(unfinished, { recursive: true, force: true });
      await build(os, mirror, unfinished);
    });
    // Another run may have finished the same one meanwhile: either is as good.
    if (!existsSync(target)) renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return target;
}

/** What builds have left that were killed: each has the number of its process in its name. */
function removeUnfinished(cache: string, target: string): void {
  for (const name of readdirSync(cache)) {
    const [, pid] = /\.(\d+)$/.exec(name) ?? [];
    if (pid === undefined || !name.startsWith(basename(target)) || identify(Number(pid))) continue;
    if (mountsBelow(join(cache, name)).length === 0)
      rmSync(join(cache, name), { recursive: true, force: true });
  }
}

async function build(os: GuestOs, mirror: PackageMirror, folder: string): Promise<void> {
  // Security updates too: Debian publishes its images anew when there are some.
  const sources = sourcesList(mirror, SUITES[os]).trim().split('\n');
  await run(
    // prettier-ignore
    ['mmdebstrap', '--variant=minbase', '--mode=root', '--format=directory', `--include=${PACKAGES[os].join(',')}`,
      '--aptopt=Acquire::Retries "3"', SUITES[os], folder, ...sources],
    { timeoutMs: 600_000 },
  );
  for (const [path, content] of Object.entries(FILES)) writeFileSync(join(folder, path), content);
  for (const path of ['/etc/resolv.conf', '/etc/hostname', '/etc/apt/sources.list'])
    rmSync(join(folder, path), { force: true });
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(folder, '/etc/resolv.conf'));
  for (const edit of EDITS[os]) await run(['sed', '-i', edit, join(folder, 'etc/cloud/cloud.cfg')]);
  await run(['chroot', folder, 'systemctl', '-q', 'enable', 'systemd-networkd', 'systemd-resolved']);
}

/** A fresh disk for one guest: an overlay on the cached tree. `files` are written into it (path to text). */
export async function createDisk(
  folder: RunFolder,
  name: string,
  lower: string,
  files: Readonly<Record<string, string>>,
  sizeMiB?: number,
): Promise<string> {
  if (sizeMiB !== undefined) {
    const disk = diskOf(folder, name);
    await run(['mount', '-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=755`, 'tmpfs', disk]);
    folder.undo.add({ kind: 'command', argv: ['umount', '--lazy', disk] });
  }
  const root = folder.folder('guests', name, 'root');
  const upper = folder.folder('guests', name, 'disk', 'upper');
  const work = folder.folder('guests', name, 'disk', 'work');
  await run([
    'mount',
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    root,
  ]);
  folder.undo.add({ kind: 'command', argv: ['umount', '--lazy', root] });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

/** Makes a disk larger that has a size, as a volume is made larger. */
export async function growDisk(folder: RunFolder, name: string, sizeMiB: number): Promise<void> {
  await run(['mount', '-o', `remount,size=${sizeMiB}m`, diskOf(folder, name)]);
}

/** Where a guest's own part of its disk is. */
function diskOf(folder: RunFolder, name: string): string {
  return folder.folder('guests', name, 'disk');
}

export function suiteOf(os: GuestOs): string {
  return SUITES[os];
}
