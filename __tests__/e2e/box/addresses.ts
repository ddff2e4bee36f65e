/**
 * The addresses and names of one run, all from its number, so that two runs can go at once.
 *
 * ```
 *   host                                   namespace bsN ("the VPC")                 namespaces bsN-GUEST
 *   bsN-up 10.201.N.253  <-- uplink -->  bsN-in 10.201.N.254
 *     emulator :5000                     bridge br0 10.201.N.1   gateway      <-->   ens5 10.201.N.10 ...
 *     you, "the internet"                           10.201.N.2   DNS, DHCP
 *                                                   169.254.169.254  IMDS
 * ```
 */
export class Addresses {
  readonly namespace: string;
  readonly hostInterface: string;
  readonly innerInterface: string;
  readonly natTable: string;

  constructor(readonly run: number) {
    this.namespace = `bs${run}`;
    this.hostInterface = `bs${run}-up`;
    this.innerInterface = `bs${run}-in`;
    this.natTable = `botstack_e2e_${run}`;
  }

  /** The subnet of guests. */
  readonly guestPrefixLength = 25;
  readonly bridge = 'br0';
  readonly imds = '169.254.169.254';
  readonly emulatorPort = 5000;

  /** The bridge's own, in the series of the guests' whose numbers begin at 10. */
  get gatewayMac(): string {
    return `0a:ff:00:00:${hex(this.run)}:01`;
  }
  get guestSubnet(): string {
    return `10.201.${this.run}.0/${this.guestPrefixLength}`;
  }
  get gateway(): string {
    return `10.201.${this.run}.1`;
  }
  get dns(): string {
    return `10.201.${this.run}.2`;
  }
  get uplinkHost(): string {
    return `10.201.${this.run}.253`;
  }
  get uplinkInner(): string {
    return `10.201.${this.run}.254`;
  }
  get emulatorUrl(): string {
    return `http://${this.uplinkHost}:${this.emulatorPort}`;
  }

  /** Guests are numbered from 10 within a run; the number gives address, MAC and interface names. */
  guest(index: number): GuestAddresses {
    return {
      ip: `10.201.${this.run}.${index}`,
      mac: `0a:ff:00:00:${hex(this.run)}:${hex(index)}`,
      namespace: `bs${this.run}-g${index}`,
      bridgePort: `bs${this.run}-g${index}`,
    };
  }
}

export interface GuestAddresses {
  ip: string;
  mac: string;
  namespace: string;
  /** The end of the guest's cable on the bridge (at most 15 characters). */
  bridgePort: string;
}

export const FIRST_GUEST = 10;
export const LAST_GUEST = 60;

function hex(number: number): string {
  return number.toString(16).padStart(2, '0');
}
