import { Ami } from '@cdktf/provider-aws/lib/ami';
import { DataAwsSsmParameter } from '@cdktf/provider-aws/lib/data-aws-ssm-parameter';
import { Eip } from '@cdktf/provider-aws/lib/eip';
import { Instance } from '@cdktf/provider-aws/lib/instance';
import { DataResource, Fn, TerraformResource, Token } from 'cdktf';
import { Construct, type IConstruct } from 'constructs';

import type { InstanceType } from '../catalogue';
import type { Image } from '../operating-systems';
import { BACKUP_TAG } from './backups';

export interface ServerProps {
  readonly name: string;
  readonly instanceType: InstanceType;
  readonly image: Image;
  /** @default the image's newest, of the instance type's architecture */
  readonly amiId?: string;
  /** Of a disk that the machine's is made of. @default the image's */
  readonly snapshotId?: string;
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

/** Holds the type, so that Terraform has something to see a change of. */
const MACHINE_TYPE = 'machine_type';

/** The machine and its address. The address is not given to the machine here: see Readiness. */
export class Server extends Construct {
  readonly instance: Instance;
  readonly address: Eip;
  readonly instanceId: string;
  readonly publicAddress: string;
  readonly addressAllocationId: string;
  /** The machine's own, in a network that has IPv6: another machine has another. */
  readonly ipv6Address: string;
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
      ami: amiId ?? this.restored(props) ?? this.newest(props),
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
        tags: { Name: name, [BACKUP_TAG]: name },
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
        ignoreChanges: amiId === undefined && props.snapshotId === undefined ? ['ami'] : undefined,
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
    this.ipv6Address = Token.asString(Fn.one(this.instance.ipv6Addresses));
    this.userDataHash = Fn.sha256(userData);
  }

  private newest({ image, instanceType: { architecture } }: ServerProps): string {
    return new DataAwsSsmParameter(this, 'image', { name: image.parameter[architecture] }).insecureValue;
  }

  /** An image of the snapshot: that is how EC2 makes a root disk of one. */
  private restored({ name, image, instanceType, snapshotId }: ServerProps): string | undefined {
    if (snapshotId === undefined) return undefined;
    return new Ami(this, 'restored', {
      name: `${name}-${snapshotId}`,
      architecture: instanceType.architecture === 'x64' ? 'x86_64' : 'arm64',
      virtualizationType: 'hvm',
      enaSupport: true,
      imdsSupport: 'v2.0',
      rootDeviceName: image.rootDevice,
      ebsBlockDevice: [{ deviceName: image.rootDevice, snapshotId, volumeType: 'gp3' }],
      tags: { Name: name },
      // The old image goes after the machine that was made of it.
      lifecycle: { createBeforeDestroy: true },
    }).id;
  }
}

/** Terraform's dependencies are between resources; ours are said between constructs. */
function resourcesIn(construct: IConstruct): TerraformResource[] {
  return construct.node
    .findAll()
    .filter((node): node is TerraformResource => TerraformResource.isTerraformResource(node));
}
