/** The Node that a bundle brings along. */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { withoutDebugSections } from './elf';
import type { Platform } from './platform';
import { type PinnedPackage, unpackPackage } from './registry-package';

interface BundleLock {
  readonly node: {
    readonly version: string;
    readonly packages: Readonly<Record<Platform, { readonly name: string; readonly integrity: string }>>;
  };
}

/** As scripts/bundle.lock.json pins it. `root`: the repository. */
export function pinnedNode(root: string, platform: Platform): PinnedPackage {
  const file = join(root, 'scripts', 'bundle.lock.json');
  const { node } = JSON.parse(readFileSync(file, 'utf8')) as BundleLock;
  return { version: node.version, ...node.packages[platform] };
}

/** Leaves `bin/node` and `licenses/node.txt` in the folder. */
export async function addNode(folder: string, node: PinnedPackage): Promise<void> {
  const unpacked = join(folder, '.node');
  await unpackPackage(node, unpacked, ['bin/node', 'LICENSE']);
  const binary = join(folder, 'bin', 'node');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(join(folder, 'licenses'), { recursive: true });
  writeFileSync(binary, withoutDebugSections(readFileSync(join(unpacked, 'bin', 'node'))));
  chmodSync(binary, 0o755);
  renameSync(join(unpacked, 'LICENSE'), join(folder, 'licenses', 'node.txt'));
  rmSync(unpacked, { recursive: true });
}
