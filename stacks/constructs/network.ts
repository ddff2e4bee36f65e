import { DataAwsEc2InstanceTypeOfferings } from '@cdktf/provider-aws/lib/data-aws-ec2-instance-type-offerings';
import { InternetGateway } from '@cdktf/provider-aws/lib/internet-gateway';
import { RouteTable } from '@cdktf/provider-aws/lib/route-table';
import { RouteTableAssociation } from '@cdktf/provider-aws/lib/route-table-association';
import { Subnet } from '@cdktf/provider-aws/lib/subnet';
import { Vpc } from '@cdktf/provider-aws/lib/vpc';
import { VpcEndpoint } from '@cdktf/provider-aws/lib/vpc-endpoint';
import { Fn, Op, TerraformIterator, type TerraformResourceLifecycle, Token } from 'cdktf';
import { Construct } from 'constructs';

export interface NetworkProps {
  readonly name: string;
  readonly region: string;
  /** Address range of the network. The subnet takes an eighth of it: see subnetCidr. */
  readonly cidr: string;
  /** Whether network and machine have IPv6 beside it: a free block of Amazon's. */
  readonly ipv6: boolean;
  /** The zone must offer it. */
  readonly instanceType: string;
  /** @default the first zone that offers the instance type */
  readonly availabilityZone?: string;
}

/** Stands for a zone where none offers the instance type: a precondition then says so, instead of an index error. */
const NO_ZONE = 'none';

/**
 * A network with one public subnet. A private subnet would need a NAT gateway, 33 USD a month, and would keep the
 * machine no safer than the closed security group does.
 */
export class Network extends Construct {
  readonly vpcId: string;
  readonly subnetId: string;
  /** Where the subnet lies. */
  readonly availabilityZone: string;
  /** Every zone of the region, Local Zones aside, that offers the instance type. */
  readonly zones: string[];

  constructor(scope: Construct, id: string, props: NetworkProps) {
    super(scope, id);
    const { name, region, cidr, ipv6 } = props;

    const vpc = new Vpc(this, 'vpc', {
      cidrBlock: cidr,
      assignGeneratedIpv6CidrBlock: ipv6 ? true : undefined,
      enableDnsHostnames: true,
      enableDnsSupport: true,
      tags: { Name: name },
    });
    const gateway = new InternetGateway(this, 'gateway', { vpcId: vpc.id, tags: { Name: name } });
    const routes = new RouteTable(this, 'routes', {
      vpcId: vpc.id,
      route: [
        { cidrBlock: '0.0.0.0/0', gatewayId: gateway.id },
        ...(ipv6 ? [{ ipv6CidrBlock: '::/0', gatewayId: gateway.id }] : []),
      ],
      tags: { Name: name },
    });
    const offerings = new DataAwsEc2InstanceTypeOfferings(this, 'zones', {
      locationType: 'availability-zone',
      filter: [{ name: 'instance-type', values: [props.instanceType] }],
    });
    // A region's Local Zones (us-east-1-bos-1a) are listed too where the account has them on, and sort first.
    const zones = TerraformIterator.fromList(offerings.locations).forExpressionForList(
      `val if can(regex("^${region}[a-z]$", val))`,
    );
    this.zones = Fn.sort(Fn.toset(Token.asList(zones)));
    const subnet = this.subnet(vpc, props);
    new RouteTableAssociation(this, 'public', { subnetId: subnet.id, routeTableId: routes.id });

    // Free, and bundle and model come to the machine without crossing the internet.
    new VpcEndpoint(this, 's3', {
      vpcId: vpc.id,
      serviceName: `com.amazonaws.${region}.s3`,
      vpcEndpointType: 'Gateway',
      routeTableIds: [routes.id],
      tags: { Name: `${name}-s3` },
    });

    this.vpcId = vpc.id;
    this.subnetId = subnet.id;
    this.availabilityZone = subnet.availabilityZone;
  }

  private subnet(vpc: Vpc, props: NetworkProps): Subnet {
    const { name, cidr, ipv6, availabilityZone } = props;
    const zone = availabilityZone ?? Token.asString(Fn.element(Fn.concat([this.zones, [NO_ZONE]]), 0));
    return new Subnet(this, 'subnet', {
      vpcId: vpc.id,
      cidrBlock: subnetCidr(cidr, zone),
      // A subnet has a /64 of the network's /56, as everywhere in AWS.
      ...(ipv6
        ? {
            ipv6CidrBlock: Fn.cidrsubnet(vpc.ipv6CidrBlock, 8, zoneIndex(zone)),
            assignIpv6AddressOnCreation: true,
          }
        : {}),
      availabilityZone: zone,
      // The first boot needs the internet before the Elastic IP comes; AWS takes this address back when it does.
      mapPublicIpOnLaunch: true,
      tags: { Name: `${name}-public` },
      lifecycle: {
        createBeforeDestroy: true,
        ...(availabilityZone === undefined ? chosenZone(zone, props) : {}),
      },
    });
  }
}

/** What holds for a subnet whose zone was chosen here; for one that the props name, Server checks the machine's zone. */
function chosenZone(zone: string, { instanceType, region }: NetworkProps): TerraformResourceLifecycle {
  return {
    // A zone that AWS adds later must not move a deployment that runs.
    ignoreChanges: ['availability_zone', 'cidr_block'],
    precondition: [
      {
        condition: Op.neq(zone, NO_ZONE),
        errorMessage: `instanceType ${instanceType} is not offered in region ${region}: choose another instanceType or region`,
      },
    ],
  };
}

/**
 * Each zone letter has an eighth of the network to itself, so that a subnet in another zone can be made while the old
 * one is still there.
 */
function subnetCidr(cidr: string, zone: string): string {
  return Fn.cidrsubnet(cidr, 3, zoneIndex(zone));
}

function zoneIndex(zone: string): number {
  const letter = Fn.substr(zone, -1, 1);
  return Token.asNumber(Fn.index(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], letter));
}
