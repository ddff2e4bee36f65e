import { OPERATING_SYSTEMS, type OperatingSystemName } from '../../cloud-init/operating-systems';
import { IMAGES } from '../../stacks/operating-systems';
import { renderedFile } from './support/sample';
import { run, testWith } from './support/tools';

const NAMES = Object.keys(OPERATING_SYSTEMS) as OperatingSystemName[];

describe('operating systems', () => {
  it.each(NAMES)('gives %s its packages and its package manager, in a form that a shell reads', (os) => {
    const { packageManager, packages, acmePackage } = OPERATING_SYSTEMS[os];
    const wanted = [...packages, ...(acmePackage === undefined ? [] : [acmePackage])];
    const file = renderedFile('bootstrap.env', { os });
    const withoutDomain = renderedFile('bootstrap.env', { os, certificate: undefined });
    expect(withoutDomain).toContain(`PACKAGES='${packages.join(' ')}'\n`);
    const read = run('bash', [
      '-c',
      `set -eu; . /dev/stdin <<<"$1"; echo "$PACKAGE_MANAGER|$PACKAGES"`,
      '-',
      file,
    ]);
    expect(read).toEqual({ status: 0, output: `${packageManager}|${wanted.join(' ')}\n` });
    for (const verb of ['has', 'install']) {
      expect(renderedFile('bootstrap.sh', { os })).toMatch(
        new RegExp(`^${packageManager}_${verb}\\(\\) \\{`, 'm'),
      );
    }
  });

  it.each(NAMES)('knows where the image of %s is published, for both processors', (os) => {
    const { x64, arm64 } = IMAGES[os].parameter;
    expect(x64).toMatch(/^\/aws\/service\/.*(amd64|x86_64)/);
    expect(arm64).toBe(x64.replace(/amd64|x86_64/, 'arm64'));
  });

  testWith('apt-cache', 'apt', 'Debian has every package by the name that is asked for', () => {
    const { packages: always, acmePackage = '' } = OPERATING_SYSTEMS['debian-12'];
    const packages = [...always, acmePackage];
    const { output } = run('apt-cache', ['show', '--no-all-versions', ...packages]);
    expect([...output.matchAll(/^Package: (.*)$/gm)].map(([, name]) => name).sort()).toEqual(
      [...packages].sort(),
    );
  });
});
