/** What the machine needs for the box, and what to do about what it lacks. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './commands';
import { findProviderMirror, PROVIDER_VERSION } from './terraform-configuration';

/** Program to Debian package. */
const PACKAGES: Record<string, string> = {
  'systemd-nspawn': 'systemd-container',
  mmdebstrap: 'mmdebstrap',
  nft: 'nftables',
  ip: 'iproute2',
  dnsmasq: 'dnsmasq-base',
  openssl: 'openssl',
  curl: 'curl',
  nsenter: 'util-linux',
  journalctl: 'systemd',
  pebble: 'pebble',
  'pebble-challtestsrv': 'pebble',
};

/** What is missing, one paragraph each; nothing when the box can run. */
export async function missingPrerequisites(): Promise<string[]> {
  const problems: string[] = [];
  if (process.platform !== 'linux')
    return ['the box needs Linux: it boots a guest in namespaces and control groups'];
  if (process.getuid?.() !== 0) {
    problems.push('root: the box makes network namespaces, mounts and control groups. Run: sudo npm run e2e');
  }
  const packages = Object.entries(PACKAGES).filter(([program]) => !onPath(program));
  if (packages.length > 0) {
    problems.push(
      `programs: ${packages.map(([program]) => program).join(', ')}. Run: apt-get install ${packages.map(([, name]) => name).join(' ')}`,
    );
  }
  const terraform = onPath('terraform');
  if (!terraform)
    problems.push('Terraform 1.11 or later on the PATH: https://developer.hashicorp.com/terraform/install');
  if (!findProviderMirror() && !(await reachesRegistry())) {
    problems.push(
      `the Terraform provider hashicorp/aws ${PROVIDER_VERSION}: registry.terraform.io is not reachable and no mirror was found ` +
        "(looked in TF_CLI_CONFIG_FILE, Terraform's own plugin folders and /opt/*). On a machine with network: " +
        'terraform providers mirror DIRECTORY, then name it in a CLI configuration file',
    );
  }
  const moto = await run(['python3', '-c', 'import moto.server, boto3'], { allowFailure: true }).catch(
    () => ({ status: 1 }),
  );
  if (moto.status !== 0)
    problems.push("moto, the AWS emulator, for python3. Run: pip install 'moto[server]==5.2.1'");
  return problems;
}

function onPath(program: string): string | undefined {
  const folders = `${process.env.PATH ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

async function reachesRegistry(): Promise<boolean> {
  try {
    return (
      await fetch('https://registry.terraform.io/.well-known/terraform.json', {
        signal: AbortSignal.timeout(5_000),
      })
    ).ok;
  } catch {
    return false;
  }
}
