/**
 * Renders the machine's user-data: a `#cloud-config` that lays down the bootstrap with its values and starts it; the
 * other files of `cloud-init/files` come from S3, because EC2 takes no more than 16 KiB here. Pure: the same props give
 * the same text, byte for byte, on every machine, because another text means another instance.
 */
import { gzipSync, strToU8 } from 'fflate';
import { dump } from 'js-yaml';

import { checkUserDataProps } from './check-props';
import { packMachineFiles, type WayOut } from './machine-files';
import { readMachineFile } from './machine-file';
import { OPERATING_SYSTEMS, type OperatingSystemName } from './operating-systems';

/** What EC2 takes, in bytes before base64. */
export const USER_DATA_LIMIT_BYTES = 16_384;

/** Where the bootstrap and its files lie on the machine. */
const LIBRARY = '/usr/local/lib/bot';

/** What has to be there before S3 can be asked for the rest, or when it cannot be: see machine-files.ts. */
const SCRIPTS = ['bootstrap.sh', 'aws.py', 'session-agent.sh'];
const UNITS = ['bot-bootstrap.service', 'bot-session-agent.service'];

export interface UserDataProps {
  /** AWS region of bucket and secret. */
  readonly region: string;

  /** Bucket with bundle, model and reports. A placeholder that is filled in later may stand here. */
  readonly bucket: string;

  /** Object key of the runtime bundle (tar.gz). */
  readonly bundleKey: string;

  /** SHA-256 of the bundle, 64 hex digits. Its first 12 name the release on the machine. */
  readonly bundleSha256: string;

  /** Object key of the GGUF model. */
  readonly modelKey: string;

  /** SHA-256 of the model, 64 hex digits. */
  readonly modelSha256: string;

  /** The model's name in /opt/bot/models, without a folder. */
  readonly modelFile: string;

  /** Where the machine's files lie in the bucket: `<filesPrefix><SHA-256>.zip`. Ends with a slash. */
  readonly filesPrefix: string;

  /** Where the bootstrap's report goes in the bucket: `<reportPrefix><instance-id>.json`. Ends with a slash. */
  readonly reportPrefix: string;

  /**
   * The address that users will reach the machine by, which it may not have yet when it makes its certificate.
   * @default the certificate names only the address that the machine has then
   */
  readonly publicAddress?: string;

  /**
   * Port that nginx opens beside 443, plain HTTP.
   * @default none
   */
  readonly externalPort?: number;

  /**
   * Gets a certificate for a domain by ACME, with a TXT record in a hosted zone of Route 53.
   * @default the machine signs its own
   */
  readonly certificate?: {
    readonly domain: string;
    readonly hostedZoneId: string;
    /** Directory of the certificate authority. */
    readonly acmeServer: string;
    /** Contact, which the protocol asks for. */
    readonly email: string;
    /** Object where account and certificate are kept for the next machine. */
    readonly key: string;
  };

  /** Port of the HTTP process on 127.0.0.1. */
  readonly internalPort: number;

  /**
   * Port that nginx opens for the web console, TLS. The console's own port, `network.console_port` of the
   * configuration, must be there and another.
   * @default closed: the console is reached through a tunnel
   */
  readonly consolePort?: number;

  /** What the host's firewall lets out. @default everything */
  readonly waysOut?: readonly WayOut[];

  /** Whether nginx listens on IPv6, too. @default false */
  readonly ipv6?: boolean;

  /** What the machine boots: its packages differ. @default 'debian-12' */
  readonly os?: OperatingSystemName;

  /** Memory that the service may use, in MiB: the instance's, less what the system needs. */
  readonly memoryMaxMiB: number;

  /**
   * Where the CloudWatch agent reports to.
   * @default no agent is installed
   */
  readonly monitoring?: {
    /** Of its metrics. */
    readonly namespace: string;
    /** Value of the metrics' dimension `Deployment`. */
    readonly deployment: string;
    /** The log groups are `<logGroupPrefix>/service` and so on; they must be there. */
    readonly logGroupPrefix: string;
  };

  /**
   * Becomes /etc/bot/config.yaml. Holds no secret: user-data can be read by everyone who may describe the instance,
   * and by every process on it.
   */
  readonly config: object;
}

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
