/** All that one machine's user-data and files are made of. */
import type { OperatingSystemName } from './operating-systems';

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

/** A port that the machine may reach at other machines. */
export interface WayOut {
  /** Letters, digits and hyphens. */
  readonly name: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  /** IPv4 range. @default everywhere */
  readonly to?: string;
}
