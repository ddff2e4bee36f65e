/** What differs between the operating systems that a machine can boot: how packages come, and what they are called. */

export type OperatingSystemName =
  'debian-12' | 'debian-13' | 'ubuntu-22.04' | 'ubuntu-24.04' | 'amazon-linux-2023';

export interface OperatingSystem {
  /** Functions of bootstrap.sh go by it. */
  readonly packageManager: 'apt' | 'dnf';
  /** What the machine needs beside its image, of the names that the distribution gives. */
  readonly packages: readonly string[];
  /** The package with `lego`, which asks for certificates. @default the distribution has none */
  readonly acmePackage?: string;
}

const DEBIAN: OperatingSystem = {
  packageManager: 'apt',
  packages: ['nginx', 'nftables', 'logrotate', 'openssl', 'curl', 'ca-certificates'],
  acmePackage: 'lego',
};

export const OPERATING_SYSTEMS: Readonly<Record<OperatingSystemName, OperatingSystem>> = {
  'debian-12': DEBIAN,
  'debian-13': DEBIAN,
  'ubuntu-22.04': DEBIAN,
  'ubuntu-24.04': DEBIAN,
  'amazon-linux-2023': {
    packageManager: 'dnf',
    // The image comes with curl-minimal, which a package `curl` would conflict with.
    packages: ['nginx', 'nftables', 'logrotate', 'openssl', 'curl-minimal', 'ca-certificates'],
  },
};
