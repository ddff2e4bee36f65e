import { DataAwsRoute53Zone } from '@cdktf/provider-aws/lib/data-aws-route53-zone';
import { Route53Record } from '@cdktf/provider-aws/lib/route53-record';
import type { ITerraformDependable } from 'cdktf';
import { Construct } from 'constructs';

import { partitionOf } from '../partition';

export interface DomainProps {
  readonly domain: string;
  /** Id or name of the public hosted zone. */
  readonly hostedZone: string;
  readonly region: string;
}

/** How a zone's id looks, in place of its name. */
const ZONE_ID = /^Z[A-Z0-9]{8,31}$/;

/** Seconds that resolvers keep the address. It is an Elastic IP: it stays. */
const TTL = 300;
/** Of the IPv6 address, which changes with the machine. */
const IPV6_TTL = 60;

/** The domain's place in Route 53, where the account has its hosted zone already (0.50 USD a month, not made here). */
export class Domain extends Construct {
  readonly hostedZoneId: string;
  readonly #props: DomainProps;

  constructor(scope: Construct, id: string, props: DomainProps) {
    super(scope, id);
    this.#props = props;
    const { hostedZone } = props;
    this.hostedZoneId = ZONE_ID.test(hostedZone)
      ? hostedZone
      : new DataAwsRoute53Zone(this, 'zone', { name: hostedZone, privateZone: false }).zoneId;
  }

  /** Points the domain to the machine. */
  pointTo(address: string): void {
    new Route53Record(this, 'address', {
      zoneId: this.hostedZoneId,
      name: this.#props.domain,
      type: 'A',
      ttl: TTL,
      records: [address],
    });
  }

  /** The same for IPv6, once the machine that has the address answers. */
  pointToIpv6(address: string, answered: ITerraformDependable): void {
    new Route53Record(this, 'address-ipv6', {
      zoneId: this.hostedZoneId,
      name: this.#props.domain,
      type: 'AAAA',
      ttl: IPV6_TTL,
      records: [address],
      dependsOn: [answered],
    });
  }

  /**
   * What the machine may do to prove that the domain is its own: write one TXT record, and see when it is everywhere.
   * With the domain's other records it can do nothing.
   */
  get statements(): object[] {
    const { domain, region } = this.#props;
    const arn = (resource: string) => `arn:${partitionOf(region)}:route53:::${resource}`;
    return [
      {
        Sid: 'ProveDomain',
        Effect: 'Allow',
        Action: 'route53:ChangeResourceRecordSets',
        Resource: arn(`hostedzone/${this.hostedZoneId}`),
        Condition: {
          'ForAllValues:StringEquals': {
            'route53:ChangeResourceRecordSetsNormalizedRecordNames': [`_acme-challenge.${domain}`],
            'route53:ChangeResourceRecordSetsRecordTypes': ['TXT'],
          },
        },
      },
      {
        Sid: 'SeeRecords',
        Effect: 'Allow',
        Action: 'route53:ListResourceRecordSets',
        Resource: arn(`hostedzone/${this.hostedZoneId}`),
      },
      { Sid: 'SeeChange', Effect: 'Allow', Action: 'route53:GetChange', Resource: arn('change/*') },
    ];
  }
}
