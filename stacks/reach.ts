/**
 * Who and what may pass: into the machine and out of it. The security group and the host firewall are both made of
 * this, so that they say the same.
 */
import type { WayOut } from '../cloud-init/user-data-props';
import { isIpv6 } from './cidr';
import { openPlainPort, type ResolvedProps } from './props';
import { CONSOLE_PORT, HTTPS_PORT } from './props/constants';

/** A port that is open to some addresses. */
export interface Opening {
  /** Names the rule; part of its construct id. */
  readonly name: string;
  readonly port: number;
  /** IPv4 and IPv6 ranges. */
  readonly cidrs: readonly string[];
}

export function openings(props: ResolvedProps): Opening[] {
  const { allowedCidrs, console: consoleOpen, adminCidrs } = props;
  const plainPort = openPlainPort(props);
  return [
    { name: 'https', port: HTTPS_PORT, cidrs: allowedCidrs },
    ...(plainPort === undefined ? [] : [{ name: 'plain', port: plainPort, cidrs: allowedCidrs }]),
    ...(consoleOpen ? [{ name: 'console', port: CONSOLE_PORT, cidrs: adminCidrs }] : []),
  ];
}

/** Where Amazon's clocks answer in every network. */
const CLOCK = '169.254.169.123/32';

/** What the machine asks of others; undefined where it may ask everything. */
export function waysOut({
  egress,
  vpcCidr,
  domain,
  acmeServer,
}: ResolvedProps): readonly WayOut[] | undefined {
  if (egress === 'all') return undefined;
  const acmePort = Number(new URL(acmeServer).port || HTTPS_PORT);
  return [
    // S3, Secrets Manager, SSM, CloudWatch, Route 53, the certificate authority, and mirrors over TLS: reached by name, and
    // their addresses change.
    { name: 'https', protocol: 'tcp', port: 443 },
    // Package mirrors: signed, not encrypted. The metadata service, too.
    { name: 'packages', protocol: 'tcp', port: 80 },
    { name: 'dns', protocol: 'udp', port: 53, to: vpcCidr },
    { name: 'dns-long', protocol: 'tcp', port: 53, to: vpcCidr },
    ...(domain === undefined || acmePort === HTTPS_PORT
      ? []
      : [{ name: 'certificates', protocol: 'tcp' as const, port: acmePort }]),
    { name: 'time', protocol: 'udp', port: 123, to: CLOCK },
  ];
}

/** Whether the network needs IPv6: somebody comes by it. */
export function needsIpv6(props: ResolvedProps): boolean {
  return [...props.allowedCidrs, ...props.adminCidrs].some(isIpv6);
}
