/**
 * Renders the machine's user-data: a `#cloud-config` that lays down the bootstrap with its values and starts it; the
 * other files of `cloud-init/files` come from S3, because EC2 takes no more than 16 KiB here. Pure: the same props give
 * the same text, byte for byte, on every machine, because another text means another instance.
 */
import { gzipSync, strToU8 } from 'fflate';
import { dump } from 'js-yaml';

import { checkUserDataProps } from './check-props';
import { packMachineFiles } from './machine-files';
import { readMachineFile } from './machine-file';
import { OPERATING_SYSTEMS } from './operating-systems';
import type { UserDataProps } from './user-data-props';

/** What EC2 takes, in bytes before base64. */
export const USER_DATA_LIMIT_BYTES = 16_384;

/** Where the bootstrap and its files lie on the machine. */
const LIBRARY = '/usr/local/lib/bot';

/** What has to be there before S3 can be asked for the rest, or when it cannot be: see machine-files.ts. */
const SCRIPTS = ['bootstrap.sh', 'aws.py', 'session-agent.sh'];
const UNITS = ['bot-bootstrap.service', 'bot-session-agent.service'];

/**
 * @returns the user-data, without Terraform escapes
 * @throws Error if a value is not allowed, or the text would be larger than EC2 takes
 */
export function renderUserData(props: UserDataProps): string {
  checkUserDataProps(props);
  const document = {
    // Nobody logs in over SSH; one host key of the quick kind is enough for those who open port 22 themselves.
    ssh_genkeytypes: ['ed25519'],
    write_files: [
      // These two stay plain text: they hold every value, and the placeholders that the stack fills in later.
      { path: `${LIBRARY}/bootstrap.env`, content: environmentFile(props) },
      { path: `${LIBRARY}/config.yaml`, content: toYaml(props.config), permissions: '0640' },
      ...SCRIPTS.map((name) => ({
        ...packed(`${LIBRARY}/${name}`, readMachineFile(name)),
        permissions: '0755',
      })),
      ...UNITS.map((name) => packed(`/etc/systemd/system/${name}`, readMachineFile(name))),
    ],
    runcmd: [['systemctl', 'enable', '--now', 'bot-bootstrap.service']],
  };
  const text = `#cloud-config\n${toYaml(document)}`;
  const bytes = Buffer.byteLength(text);
  if (bytes > USER_DATA_LIMIT_BYTES) {
    throw new Error(
      `user-data should be at most ${USER_DATA_LIMIT_BYTES} bytes, got ${bytes}: shorten config (${toYaml(props.config).length} bytes) or the object keys`,
    );
  }
  return text;
}

/** What bootstrap.sh and aws.py read. The values are checked: none needs quoting in a shell. */
function environmentFile(props: UserDataProps): string {
  const files = packMachineFiles(props);
  const { packageManager, packages, acmePackage } = OPERATING_SYSTEMS[props.os ?? 'debian-12'];
  const wanted = [...packages, ...(props.certificate && acmePackage ? [acmePackage] : [])];
  const variables = {
    REGION: props.region,
    BUCKET: props.bucket,
    BUNDLE_KEY: props.bundleKey,
    BUNDLE_SHA256: props.bundleSha256,
    MODEL_KEY: props.modelKey,
    MODEL_SHA256: props.modelSha256,
    MODEL_FILE: props.modelFile,
    FILES_KEY: `${props.filesPrefix}${files.sha256}.zip`,
    FILES_SHA256: files.sha256,
    REPORT_PREFIX: props.reportPrefix,
    PUBLIC_ADDRESS: props.publicAddress ?? '',
    EXTERNAL_PORT: props.externalPort ?? '',
    DOMAIN: props.certificate?.domain ?? '',
    ...(props.certificate && {
      HOSTED_ZONE_ID: props.certificate.hostedZoneId,
      ACME_SERVER: props.certificate.acmeServer,
      ACME_EMAIL: props.certificate.email,
      CERTIFICATE_KEY: props.certificate.key,
    }),
    IPV6: props.ipv6 ? 'yes' : '',
    MONITORED: props.monitoring ? 'yes' : '',
    PACKAGE_MANAGER: packageManager,
    // The only value with spaces in it: quoted for bash and for systemd.
    PACKAGES: `'${wanted.join(' ')}'`,
  };
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/**
 * A file, gzipped: as plain text they do not fit. By fflate and not by Node's zlib, whose output differs between
 * versions and processors, and with no time in the header.
 */
function packed(path: string, content: string) {
  const bytes = gzipSync(strToU8(content), { level: 9, mtime: 0 });
  return { path, encoding: 'gz+b64', content: Buffer.from(bytes).toString('base64') };
}

function toYaml(value: object): string {
  return dump(value, { lineWidth: -1, noArrayIndent: true, noRefs: true });
}
