/** The whole of it: an emulated AWS account and a network in which its instances really boot. */
import { Account, type DeployedInstance } from './account';
import { FIRST_GUEST, type GuestAddresses, LAST_GUEST } from './addresses';
import type { GuestSize } from './control-groups';
import { Emulator } from './emulator';
import { Guest } from './guest';
import { MetadataService } from './imds';
import { Network } from './network';
import { findPackageMirror } from './package-mirror';
import { ensureRootFileSystem, type GuestOs } from './rootfs';
import type { RunFolder } from './run-folder';

/** As the default instance type has it. */
const DEFAULT_SIZE: GuestSize = { cpus: 2, memoryMiB: 4096 };
const ACCOUNT_ID = '123456789012';

export interface BootOptions {
  name: string;
  addresses: GuestAddresses;
  size?: GuestSize;
  /** More files on the guest's disk before its first boot. */
  files?: Readonly<Record<string, string>>;
  /** The size of its disk, beside what the image holds. @default what the host has */
  diskMiB?: number;
  /** The AWS that it sees. @default the emulator */
  awsUrl?: string;
  /** A certificate authority that it trusts beside those of its image: PEM. */
  authority?: string;
}

export class Box {
  #nextGuest = FIRST_GUEST;

  private constructor(
    readonly folder: RunFolder,
    readonly os: GuestOs,
    readonly network: Network,
    readonly account: Account,
    readonly metadata: MetadataService,
  ) {}

  static async create(
    folder: RunFolder,
    os: GuestOs,
    region: string,
    say: (text: string) => void,
  ): Promise<Box> {
    const mirror = await findPackageMirror();
    await ensureRootFileSystem(os, mirror, say);
    const network = await Network.create(folder, mirror, region);
    const [emulator, metadata] = await Promise.all([
      Emulator.start(folder, network, region),
      MetadataService.start(folder, network),
    ]);
    return new Box(folder, os, network, new Account(emulator.url, region), metadata);
  }

  /** An address for a guest that does not exist yet. */
  reserveAddresses(): GuestAddresses {
    if (this.#nextGuest > LAST_GUEST) throw new Error('no guest addresses left in this run');
    return this.network.addresses.guest(this.#nextGuest++);
  }

  /** Boots a guest from what was deployed: its user-data, its role, its security groups. */
  async boot(instance: DeployedInstance, options: BootOptions): Promise<Guest> {
    const { addresses } = options;
    this.metadata.describe({
      ...instance,
      region: this.account.region,
      accountId: ACCOUNT_ID,
      ip: addresses.ip,
      mac: addresses.mac,
      subnetCidr: this.network.addresses.guestSubnet,
      role:
        instance.roleName && instance.profileArn
          ? {
              name: instance.roleName,
              profileArn: instance.profileArn,
              credentials: await this.account.roleCredentials(instance.roleName),
            }
          : undefined,
    });
    await this.network.applySecurityGroup(addresses.ip, instance.ingress);
    return Guest.boot(this.folder, this.network, {
      name: options.name,
      addresses,
      os: this.os,
      size: options.size ?? DEFAULT_SIZE,
      environment: { AWS_ENDPOINT_URL: options.awsUrl ?? this.account.endpointUrl },
      files: options.files,
      diskMiB: options.diskMiB,
      authority: options.authority,
    });
  }
}
