import { DataAwsSsmParameter } from '@cdktf/provider-aws/lib/data-aws-ssm-parameter';
import { Eip } from '@cdktf/provider-aws/lib/eip';
import { Instance } from '@cdktf/provider-aws/lib/instance';
import { DataResource, Fn, TerraformResource } from 'cdktf';
import { Construct, type IConstruct } from 'constructs';

import type { Architecture, InstanceType } from '../catalogue';

export interface ServerProps {
  readonly name: string;
  readonly instanceType: InstanceType;
  /** @default the newest Debian 12 of the instance type's architecture */
  readonly amiId?: string;
  readonly diskGiB: number;
  /** EC2 then refuses to terminate the machine. Terraform lifts that itself where a plan replaces it. */
  readonly protect: boolean;
  readonly subnetId: string;
  /** Where the subnet lies, and all zones that offer the instance type; the plan is refused when they do not meet. */
  readonly availabilityZone: string;
  readonly zones: string[];
  readonly securityGroupId: string;
  readonly instanceProfileName: string;
  /** What cloud-init runs on the first boot, with the address that the machine will have after it. */
  readonly userData: (publicAddress: string) => string;
  /** What must be there before the machine boots. */
  readonly dependsOn: readonly IConstruct[];
}

/** Where the Debian project publishes the ids of its images. */
const DEBIAN_IMAGE: Readonly<Record<Architecture, string>> = {
  x64: '/aws/service/debian/release/12/latest/amd64',
  arm64: '/aws/service/debian/release/12/latest/arm64',
};

/** Holds the type, so that Terraform has something to see a change of. */
const MACHINE_TYPE = 'machine_type';

/** The machine and its address. The address is not given to the machine here: see Readiness. */
export class Server extends Construct {
  readonly instance: Instance;
  readonly address: Eip;
  readonly instanceId: string;
  readonly publicAddress: string;
  readonly addressAllocationId: string;
  /** Changes when the machine would boot differently. */
  readonly userDataHash: string;

  constructor(scope: Construct, id: string, props: ServerProps) {
    super(scope, id);
    const { name, instanceType, amiId } = props;

    const type = new DataResource(this, MACHINE_TYPE, { input: { name: instanceType.name } });
    type.overrideLogicalId(MACHINE_TYPE);
    this.address = new Eip(this, 'address', { domain: 'vpc', tags: { Name: name } });
    const userData = props.userData(this.address.publicIp);
    this.instance = new Instance(this, 'machine', {
      ami: amiId ?? this.newestDebian(instanceType.architecture),
      instanceType: instanceType.name,
      subnetId: props.subnetId,
      vpcSecurityGroupIds: [props.securityGroupId],
      iamInstanceProfile: props.instanceProfileName,
      userData,
      userDataReplaceOnChange: true,
      // What every type of the catalogue does anyway, at no price of its own.
      ebsOptimized: true,
      disableApiTermination: props.protect,
      // Version 2 of the metadata service, and no container or proxy on the machine can ask it for credentials.
      metadataOptions: { httpEndpoint: 'enabled', httpTokens: 'required', httpPutResponseHopLimit: 1 },
      rootBlockDevice: {
        volumeType: 'gp3',
        volumeSize: props.diskGiB,
        encrypted: true,
        deleteOnTermination: true,
        tags: { Name: name },
      },
      // Unlimited credits are the default of burstable types, and the surprise on the bill.
      creditSpecification: instanceType.burstable ? { cpuCredits: 'standard' } : undefined,
      tags: { Name: name },
      dependsOn: props.dependsOn.flatMap(resourcesIn),
      lifecycle: {
        // The new machine answers before the old one goes.
        createBeforeDestroy: true,
        // AWS would stop the machine, change its type and start it: an outage, and at its end nothing asks for an answer.
        // (By its name: Terraform takes no `${}` here, which is how cdktf would write the resource.)
        replaceTriggeredBy: [`${type.terraformResourceType}.${MACHINE_TYPE}`],
        // A newer image must not replace a machine that runs; it is taken when the machine is replaced anyway.
        ignoreChanges: amiId === undefined ? ['ami'] : undefined,
        precondition: [
          {
            condition: Fn.contains(props.zones, props.availabilityZone),
            errorMessage:
              `instanceType ${instanceType.name} is not offered in availability zone ${props.availabilityZone}: ` +
              `set availabilityZone to one of ${Fn.join(', ', props.zones)}`,
          },
        ],
      },
    });

    this.instanceId = this.instance.id;
    this.publicAddress = this.address.publicIp;
    this.addressAllocationId = this.address.allocationId;
    this.userDataHash = Fn.sha256(userData);
  }

  private newestDebian(architecture: Architecture): string {
    return new DataAwsSsmParameter(this, 'image', { name: DEBIAN_IMAGE[architecture] }).insecureValue;
  }
}

/** Terraform's dependencies are between resources; ours are said between constructs. */
function resourcesIn(construct: IConstruct): TerraformResource[] {
  return construct.node
    .findAll()
    .filter((node): node is TerraformResource => TerraformResource.isTerraformResource(node));
}
