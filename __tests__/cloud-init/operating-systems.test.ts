import { OPERATING_SYSTEMS, type OperatingSystemName } from '../../cloud-init/operating-systems';
import { IMAGES } from '../../stacks/operating-systems';
import { retried } from '../support/retried';
import { renderedFile } from './support/sample';
import { run } from './support/tools';

const NAMES = Object.keys(OPERATING_SYSTEMS) as OperatingSystemName[];

/** As the apt of this machine has it. */
const DEBIAN_ARCHIVE =
  /^https?:\S+/m.exec(
    run('apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']).output,
  )?.[0] ?? '';

const DEBIAN_SUITES = [
  { os: 'debian-12', suite: 'bookworm' },
  { os: 'debian-13', suite: 'trixie' },
].map((each) => ({ ...each, archive: DEBIAN_ARCHIVE, components: ['main'] })) as readonly Suite[];

/** As mmdebstrap, which makes systems of it, has it. */
const UBUNTU_ARCHIVE =
  /'(https?:\/\/archive\.[^']*\/ubuntu)'/.exec(
    run('sh', ['-c', 'cat "$(command -v mmdebstrap)"']).output,
  )?.[1] ?? '';

/** Both components are on in Ubuntu's cloud images. */
const UBUNTU_SUITES = [
  { os: 'ubuntu-22.04', suite: 'jammy' },
  { os: 'ubuntu-24.04', suite: 'noble' },
].map((each) => ({
  ...each,
  archive: UBUNTU_ARCHIVE,
  components: ['main', 'universe'],
})) as readonly Suite[];

interface Suite {
  readonly os: OperatingSystemName;
  readonly suite: string;
  readonly archive: string;
  readonly components: readonly string[];
}

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

  // Amazon's repository answers Amazon's machines and a few others: its names are checked by nobody but dnf, at the boot.
  describe.each([...DEBIAN_SUITES, ...UBUNTU_SUITES])(
    'the package index of $os',
    ({ os, archive, suite, components }) => {
      const url = (component: string) => `${archive}/dists/${suite}/${component}/binary-amd64/Packages.xz`;
      // CI has a network; whoever runs the tests by hand may have none.
      const isReachable =
        archive !== '' &&
        (process.env['CI'] === 'true' || run('curl', ['-sfI', '-m', '10', url('main')]).status === 0);
      const unless = isReachable
        ? ''
        : ` (skipped: ${archive === '' ? 'its address is not known here' : `${archive} does not answer`})`;

      (isReachable ? it : it.skip)(`has every package by the name that is asked for${unless}`, () => {
        const { packages, acmePackage = '' } = OPERATING_SYSTEMS[os];
        const script = `set -eo pipefail
          for url; do curl -sSf -m 120 "$url" | xz -dc | sed -n 's/^Package: //p'; done`;
        const there = retried(() => {
          const { status, output } = run('bash', ['-c', script, '-', ...components.map(url)], {}, 300_000);
          if (status !== 0) throw new Error(output.slice(-1000));
          return new Set(output.split('\n'));
        });
        expect([...packages, acmePackage].filter((name) => !there.has(name))).toEqual([]);
      });
    },
  );
});
