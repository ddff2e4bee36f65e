/** The package mirror that the apt of this machine uses: guests get it at run time, nothing of it is written down. */
import { lookup } from 'node:dns/promises';
import { retried, run } from './commands';

export interface PackageMirror {
  /** Base address of the archive and, where the host has one, of the security archive. */
  archive: string;
  security?: string;
  /** Each host of those, with the address it has now: the guests' name server answers these and nothing else. */
  hosts: { name: string; address: string; port: number }[];
}

/** Asks the host's own apt. Throws when it has no Debian archive configured. */
export async function findPackageMirror(): Promise<PackageMirror> {
  const { stdout } = await run([
    'apt-get',
    'indextargets',
    '--format',
    '$(SITE) $(RELEASE)',
    'Created-By: Packages',
  ]);
  const targets = stdout
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields): fields is [string, string] => fields.length === 2 && /^https?:/.test(fields[0] ?? ''));
  const archive = targets.find(([, release]) => !release.includes('-'))?.[0];
  const security = targets.find(([, release]) => release.endsWith('-security'))?.[0];
  if (!archive)
    throw new Error('apt-get indextargets names no Debian archive on this machine: run apt-get update');
  const urls = [archive, ...(security ? [security] : [])].map((address) => new URL(address));
  const names = [...new Map(urls.map((url) => [url.hostname, url])).values()];
  const hosts = await Promise.all(
    names.map(async (url) => ({
      name: url.hostname,
      address: (await retried(() => lookup(url.hostname, { family: 4 }))).address,
      port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    })),
  );
  return { archive, security, hosts };
}

/** sources.list for a suite of Debian at this mirror. */
export function sourcesList(mirror: PackageMirror, suite: string): string {
  const lines = [`deb ${mirror.archive} ${suite} main`, `deb ${mirror.archive} ${suite}-updates main`];
  if (mirror.security) lines.push(`deb ${mirror.security} ${suite}-security main`);
  return lines.join('\n') + '\n';
}
