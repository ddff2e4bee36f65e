/** The Node that instances run: what the bundle carries, not what this machine happens to have. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { addNode, pinnedNode } from '../scripts/lib/bundle/node.js';
import { CACHE, makeFolder, REPOSITORY } from './workspace.js';

/** Fetches it once. Returns the folder that holds `node`, for PATH. */
export async function provideBundleNode(): Promise<string> {
  const node = pinnedNode(REPOSITORY, process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64');
  const folder = join(CACHE, `${node.name}-${node.version}`);
  if (!existsSync(folder)) {
    const partial = `${makeFolder(CACHE)}/${node.name}.partial`;
    rmSync(partial, { recursive: true, force: true });
    await addNode(makeFolder(partial), node);
    renameSync(partial, folder);
  }
  return join(folder, 'bin');
}
