import { DefaultSecurityGroup } from '@cdktf/provider-aws/lib/default-security-group';
import { SecurityGroup } from '@cdktf/provider-aws/lib/security-group';
import { VpcSecurityGroupEgressRule } from '@cdktf/provider-aws/lib/vpc-security-group-egress-rule';
import { VpcSecurityGroupIngressRule } from '@cdktf/provider-aws/lib/vpc-security-group-ingress-rule';
import { Construct } from 'constructs';

import type { WayOut } from '../../cloud-init/user-data-props';
import { isIpv6 } from '../cidr';
import type { Opening } from '../reach';

const EVERYONE = '0.0.0.0/0';
const EVERYONE_IPV6 = '::/0';

export interface FirewallProps {
  readonly name: string;
  readonly vpcId: string;
  /** What may come in. Port 22 never: sessions go through SSM, which needs no open port. */
  readonly openings: readonly Opening[];
  /** What may go out. @default everything */
  readonly waysOut?: readonly WayOut[];
  /** Whether the network has IPv6. */
  readonly ipv6: boolean;
}

/** The security group of the machine. */
export class Firewall extends Construct {
  readonly securityGroupId: string;

  constructor(scope: Construct, id: string, { name, vpcId, openings, waysOut, ipv6 }: FirewallProps) {
    super(scope, id);

    const group = new SecurityGroup(this, 'group', {
      // A prefix, not a name: two groups may exist for a moment while one replaces the other.
      namePrefix: `${name}-`,
      description: 'Chat endpoint: TLS and plain for its users; the console for administrators where asked',
      vpcId,
      tags: { Name: name },
      lifecycle: { createBeforeDestroy: true },
    });
    this.securityGroupId = group.id;

    for (const { name: opening, port, cidrs } of openings) {
      for (const cidr of cidrs) {
        new VpcSecurityGroupIngressRule(this, `${opening}-${cidr.replace(/[./:]/g, '-')}`, {
          securityGroupId: group.id,
          description: `${opening} from ${cidr}`,
          ipProtocol: 'tcp',
          fromPort: port,
          toPort: port,
          ...addresses(cidr),
          tags: { Name: `${name}-${opening}` },
        });
      }
    }

    this.out(name, waysOut, ipv6 ? [EVERYONE, EVERYONE_IPV6] : [EVERYONE]);

    // Every VPC comes with a group that lets its members talk to each other. Nothing uses it; now nothing can.
    new DefaultSecurityGroup(this, 'locked', { vpcId, tags: { Name: `${name}-default-locked` } });
  }

  private out(name: string, waysOut: readonly WayOut[] | undefined, everywhere: readonly string[]): void {
    const rule = (id: string, cidr: string, port: Pick<WayOut, 'protocol' | 'port'> | undefined) =>
      new VpcSecurityGroupEgressRule(this, cidr === EVERYONE_IPV6 ? `${id}-ipv6` : id, {
        securityGroupId: this.securityGroupId,
        description: port === undefined ? 'everything out' : `${id.replace('out-', '')} to ${cidr}`,
        ipProtocol: port?.protocol ?? '-1',
        fromPort: port?.port,
        toPort: port?.port,
        ...addresses(cidr),
        tags: { Name: `${name}-out` },
      });
    if (waysOut === undefined) {
      for (const cidr of everywhere) rule('out', cidr, undefined);
      return;
    }
    for (const way of waysOut) {
      for (const cidr of way.to === undefined ? everywhere : [way.to]) rule(`out-${way.name}`, cidr, way);
    }
  }
}

function addresses(cidr: string): { cidrIpv4: string } | { cidrIpv6: string } {
  return isIpv6(cidr) ? { cidrIpv6: cidr } : { cidrIpv4: cidr };
}
