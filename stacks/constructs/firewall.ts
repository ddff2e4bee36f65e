import { DefaultSecurityGroup } from '@cdktf/provider-aws/lib/default-security-group';
import { SecurityGroup } from '@cdktf/provider-aws/lib/security-group';
import { VpcSecurityGroupEgressRule } from '@cdktf/provider-aws/lib/vpc-security-group-egress-rule';
import { VpcSecurityGroupIngressRule } from '@cdktf/provider-aws/lib/vpc-security-group-ingress-rule';
import { Construct } from 'constructs';

export interface Opening {
  /** Names the rule; part of its construct id. */
  readonly name: string;
  readonly port: number;
  readonly cidrs: readonly string[];
}

export interface FirewallProps {
  readonly name: string;
  readonly vpcId: string;
  /** What may come in. Port 22 never: sessions go through SSM, which needs no open port. */
  readonly openings: readonly Opening[];
}

/** The security group of the machine: the openings in, everything out. */
export class Firewall extends Construct {
  readonly securityGroupId: string;

  constructor(scope: Construct, id: string, { name, vpcId, openings }: FirewallProps) {
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
        new VpcSecurityGroupIngressRule(this, `${opening}-${cidr.replace(/[./]/g, '-')}`, {
          securityGroupId: group.id,
          description: `${opening} from ${cidr}`,
          ipProtocol: 'tcp',
          fromPort: port,
          toPort: port,
          cidrIpv4: cidr,
          tags: { Name: `${name}-${opening}` },
        });
      }
    }

    // Packages, S3, Secrets Manager and SSM are reached by name, and their addresses change.
    new VpcSecurityGroupEgressRule(this, 'out', {
      securityGroupId: group.id,
      description: 'everything out',
      ipProtocol: '-1',
      cidrIpv4: '0.0.0.0/0',
      tags: { Name: `${name}-out` },
    });

    // Every VPC comes with a group that lets its members talk to each other. Nothing uses it; now nothing can.
    new DefaultSecurityGroup(this, 'locked', { vpcId, tags: { Name: `${name}-default-locked` } });
  }
}
