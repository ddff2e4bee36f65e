/** Who made the parts of the bundle, and under which licences. The licences' texts stay beside the parts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Manifest {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string | { readonly type?: string };
}

export function thirdPartyNotices(nodeModules: string, nodeVersion: string): string {
  const lines = packagesIn(nodeModules).map(({ name, version, license }) => {
    const terms = typeof license === 'string' ? license : (license?.type ?? 'see its files');
    return `${name ?? '?'} ${version ?? '?'}: ${terms}`;
  });
  return [
    'Third-party software in this bundle',
    '',
    `Node.js ${nodeVersion}: MIT and others, see licenses/node.txt`,
    'Packages (each with its licence in app/node_modules/<name>/):',
    '',
    ...[...new Set(lines)].sort(),
    '',
  ].join('\n');
}

function packagesIn(nodeModules: string): Manifest[] {
  return readdirSync(nodeModules).flatMap((name) => {
    const path = join(nodeModules, name);
    if (name.startsWith('@')) return packagesIn(path);
    const manifest = join(path, 'package.json');
    const own = existsSync(manifest) ? [JSON.parse(readFileSync(manifest, 'utf8')) as Manifest] : [];
    const nested = join(path, 'node_modules');
    return existsSync(nested) ? [...own, ...packagesIn(nested)] : own;
  });
}
