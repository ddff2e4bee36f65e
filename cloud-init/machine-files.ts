/**
 * The files that the bootstrap fetches from S3 and puts where they belong: units, nginx, firewall, logs. One archive,
 * named by its hash, which stands in the user-data: another file is another boot, so the plan shows it.
 */
import { createHash } from 'node:crypto';

import { strToU8, zipSync } from 'fflate';

import { fillMachineFile } from './machine-file';
import type { UserDataProps, WayOut } from './user-data-props';

/** What the files are filled in with. */
export type MachineFileProps = Pick<
  UserDataProps,
  | 'externalPort'
  | 'internalPort'
  | 'certificate'
  | 'consolePort'
  | 'memoryMaxMiB'
  | 'monitoring'
  | 'config'
  | 'waysOut'
  | 'ipv6'
>;

const FILES = ['bot.service', 'nginx.conf', 'nftables.conf', 'logrotate.conf', 'journald.conf'];

/** There where it has a domain. */
const CERTIFICATE_FILES = ['certificate.sh', 'bot-certificate.service', 'bot-certificate.timer'];

/** There where the deployment is watched. */
const MONITORING_FILES = ['cloudwatch-agent.json', 'monitoring-agent.sh', 'bot-monitoring-agent.service'];

/** nginx waits that much longer than the service's longest request, so that it is the service that ends it. */
const READ_TIMEOUT_MARGIN_SECONDS = 30;

/** The time of every entry. In local parts, because that is how a zip archive writes it: the same bytes in each zone. */
const ENTRY_TIME = new Date(2020, 0, 1);

export interface PackedFiles {
  /** A zip archive, which Python on the machine unpacks. */
  readonly bytes: Uint8Array;
  /** Of the archive, hexadecimal. */
  readonly sha256: string;
}

/** The files by name, as they will be on the machine. */
export function machineFiles(props: MachineFileProps): ReadonlyMap<string, string> {
  const values = {
    LISTEN_TLS: listen(443, 'ssl http2 default_server', props),
    LISTEN_PLAIN: listen(props.externalPort, 'default_server', props),
    LISTEN_CONSOLE: listen(props.consolePort, 'ssl http2', props),
    // A certificate that clients must be told of is none to insist on for a year.
    HSTS:
      props.certificate === undefined
        ? ''
        : '  add_header Strict-Transport-Security $strict_transport always;',
    INTERNAL_PORT: props.internalPort,
    MEMORY_MAX: `${props.memoryMaxMiB}M`,
    READ_TIMEOUT: longestRequestSeconds(props.config) + READ_TIMEOUT_MARGIN_SECONDS,
    OPEN_PORTS: [443, props.externalPort, props.consolePort].filter((port) => port !== undefined).join(', '),
    CONSOLE_SERVER: '',
    OUTPUT_CHAIN: '',
    ...(props.monitoring && {
      NAMESPACE: props.monitoring.namespace,
      DEPLOYMENT: props.monitoring.deployment,
      LOG_GROUPS: props.monitoring.logGroupPrefix,
    }),
  };
  if (props.consolePort !== undefined) {
    values.CONSOLE_SERVER = fillMachineFile('nginx-console.conf', {
      ...values,
      CONSOLE_PORT: props.consolePort,
      CONSOLE_LOOPBACK_PORT: String(consoleLoopbackPort(props.config)),
    });
  }
  if (props.waysOut !== undefined) {
    values.OUTPUT_CHAIN = fillMachineFile('nftables-output.conf', {
      WAYS_OUT: props.waysOut.map(toRule).join('\n    '),
    });
  }
  const names = [
    ...FILES,
    ...(props.certificate ? CERTIFICATE_FILES : []),
    ...(props.monitoring ? MONITORING_FILES : []),
  ];
  return new Map(names.map((name) => [name, fillMachineFile(name, values)]));
}

/** By fflate and not by Node's zlib, whose output differs between versions and processors. */
export function packMachineFiles(props: MachineFileProps): PackedFiles {
  const entries = [...machineFiles(props)].map(([name, content]) => [name, strToU8(content)] as const);
  const bytes = zipSync(Object.fromEntries(entries), { level: 9, mtime: ENTRY_TIME });
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** nginx's lines for a port, of each address family; none where the port is closed. */
function listen(port: number | undefined, how: string, { ipv6 }: MachineFileProps): string {
  if (port === undefined) return '';
  return [port, ...(ipv6 ? [`[::]:${port}`] : [])].map((place) => `listen ${place} ${how};`).join('\n  ');
}

function toRule({ protocol, port, to }: WayOut): string {
  return `${to === undefined ? '' : `ip daddr ${to} `}${protocol} dport ${port} accept`;
}

function consoleLoopbackPort(config: { network?: { console_port?: number } }): number | undefined {
  return config.network?.console_port;
}

function longestRequestSeconds(config: { limits?: { max_request_seconds?: number } }): number {
  return config.limits?.max_request_seconds ?? 300;
}
