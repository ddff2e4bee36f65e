/**
 * The "VPC": a network namespace with a bridge for the guests, a gateway, DNS and DHCP. Guests reach the package
 * mirror and the AWS emulator; everything else is dropped. From the host ("the internet") a guest is reached only
 * through the security groups that were deployed for it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Addresses, FIRST_GUEST, LAST_GUEST } from './addresses';
import { run, start } from './commands';
import type { PackageMirror } from './package-mirror';
import type { RunFolder } from './run-folder';

/** Where SDKs look for Route 53, in every region. In here that is the host's end of the cable. */
export const ROUTE53 = 'route53.amazonaws.com';

/** One rule of a security group, as the emulator lists it. */
export interface IngressRule {
  /** `tcp`, `udp`, `icmp` or `-1` for all. */
  protocol: string;
  fromPort: number;
  toPort: number;
  cidr: string;
}

export class Network {
  private constructor(
    readonly addresses: Addresses,
    readonly mtu: number,
    readonly mirror: PackageMirror,
  ) {}

  static async create(folder: RunFolder, mirror: PackageMirror, region: string): Promise<Network> {
    const addresses = await claimNamespace(folder);
    const wan = await defaultInterface();
    const mtu = Number(readFileSync(`/sys/class/net/${wan}/mtu`, 'utf8'));
    const network = new Network(addresses, mtu, mirror);
    await network.#connect(folder);
    await network.#forward(folder, wan);
    await network.#serveNames(folder, region);
    return network;
  }

  /** Runs `ip` inside the VPC's namespace. */
  async ip(...args: string[]): Promise<void> {
    await run(['ip', '-n', this.addresses.namespace, ...args]);
  }

  /** Lets in what the security group lets in, and nothing else, for this guest. Replaces what was set before. */
  async applySecurityGroup(guestIp: string, rules: readonly IngressRule[]): Promise<void> {
    const table = `sg_${guestIp.replaceAll('.', '_')}`;
    const accepts = rules.map(({ protocol, fromPort, toPort, cidr }) => {
      const match = protocol === '-1' ? '' : `${protocol} dport ${fromPort}-${toPort} `;
      return `    ip saddr ${cidr} ip daddr ${guestIp} ${match}accept`;
    });
    await this.#nft(`
table ip ${table} {}
flush table ip ${table}
table ip ${table} {
  chain ingress { type filter hook forward priority filter; policy accept;
    ip daddr ${guestIp} ct state established,related accept
${accepts.join('\n')}
    ip daddr ${guestIp} drop
  }
}`);
  }

  /**
   * Lets guests reach a port of the host's end of the cable, where this run serves something.
   *
   * @param known the port that they know it by, which somebody else may have here
   */
  async admit(port: number, known?: number): Promise<void> {
    const { natTable, hostInterface, uplinkHost, bridge } = this.addresses;
    if (known !== undefined) {
      await this.#nft(`
table ip known_ports {
  chain prerouting { type nat hook prerouting priority dstnat;
    iifname "${bridge}" ip daddr ${uplinkHost} tcp dport ${known} dnat to ${uplinkHost}:${port}
  }
}`);
    }
    // prettier-ignore
    await run(['nft', 'insert', 'rule', 'ip', natTable, 'input', 'iifname', hostInterface,
      'ip', 'daddr', uplinkHost, 'tcp', 'dport', String(port), 'accept']);
  }

  /** Has the network swallow what the guest sends to these addresses, as one without a route does; `[]` ends it. */
  async cutOff(guestIp: string, addresses: readonly string[]): Promise<void> {
    const table = `cut_${guestIp.replaceAll('.', '_')}`;
    const drops = addresses.map((address) => `    ip saddr ${guestIp} ip daddr ${address} drop`);
    await this.#nft(`
table ip ${table} {}
flush table ip ${table}
table ip ${table} {
  chain away { type filter hook prerouting priority raw; policy accept;
${drops.join('\n')}
  }
}`);
  }

  async #nft(rules: string): Promise<void> {
    await run(['ip', 'netns', 'exec', this.addresses.namespace, 'nft', '-f', '-'], { input: rules });
  }

  async #connect(folder: RunFolder): Promise<void> {
    const { namespace, hostInterface, innerInterface, uplinkHost, uplinkInner, ...a } = this.addresses;
    const mtu = String(this.mtu);
    const { gateway, gatewayMac, dns, guestSubnet } = this.addresses;
    await run([
      'ip',
      'link',
      'add',
      hostInterface,
      'mtu',
      mtu,
      'type',
      'veth',
      'peer',
      'name',
      innerInterface,
      'mtu',
      mtu,
      'netns',
      namespace,
    ]);
    await run(['ip', 'addr', 'add', `${uplinkHost}/30`, 'dev', hostInterface]);
    await run(['ip', 'link', 'set', hostInterface, 'up']);
    await this.ip('link', 'set', 'lo', 'up');
    await this.ip('addr', 'add', `${uplinkInner}/30`, 'dev', innerInterface);
    await this.ip('link', 'set', innerInterface, 'up');
    await this.ip('route', 'add', 'default', 'via', uplinkHost);
    // No forwarding delay and no spanning tree: a guest's first DHCP packet must not be swallowed. And an address of its
    // own, for otherwise a bridge takes the lowest of its cables': with a guest that was plugged in, the gateway became
    // another, and the other guests' packets went nowhere, until half a minute later they asked where it is.
    await this.ip(
      'link',
      'add',
      a.bridge,
      'address',
      gatewayMac,
      'mtu',
      mtu,
      'type',
      'bridge',
      'forward_delay',
      '0',
      'stp_state',
      '0',
    );
    for (const address of [
      `${gateway}/${a.guestPrefixLength}`,
      `${dns}/${a.guestPrefixLength}`,
      `${a.imds}/32`,
    ]) {
      await this.ip('addr', 'add', address, 'dev', a.bridge);
    }
    await this.ip('link', 'set', a.bridge, 'up');
    await run(['ip', 'route', 'add', guestSubnet, 'via', uplinkInner, 'src', uplinkHost]);
    await run(['ip', 'netns', 'exec', namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    // Host side of the uplink: when it goes, its address and the route go with it.
    folder.undo.add({ kind: 'command', argv: ['ip', 'link', 'del', hostInterface] });
  }

  async #forward(folder: RunFolder, wan: string): Promise<void> {
    const { natTable, hostInterface, guestSubnet, uplinkHost, emulatorPort, namespace } = this.addresses;
    const script = join(__dirname, 'forwarding.sh');
    folder.undo.add({ kind: 'command', argv: [script, 'release', namespace] });
    await run([script, 'acquire', namespace]);
    const mirrors = this.mirror.hosts.map(
      ({ address, port }) => `    iifname "${hostInterface}" ip daddr ${address} tcp dport ${port} accept`,
    );
    await run(['nft', '-f', '-'], {
      // A run that was killed may have left one of this name.
      input: `
table ip ${natTable} {}
delete table ip ${natTable}
table ip ${natTable} {
  chain postrouting { type nat hook postrouting priority srcnat;
    ip saddr ${guestSubnet} oifname "${wan}" masquerade
  }
  chain forward { type filter hook forward priority filter; policy accept;
${mirrors.join('\n')}
    iifname "${hostInterface}" drop
    oifname "${hostInterface}" ct state established,related accept
    oifname "${hostInterface}" drop
  }
  chain input { type filter hook input priority filter; policy accept;
    iifname "${hostInterface}" ct state established,related accept
    iifname "${hostInterface}" ip daddr ${uplinkHost} tcp dport ${emulatorPort} accept
    iifname "${hostInterface}" drop
  }
}`,
    });
    folder.undo.add({ kind: 'command', argv: ['nft', 'delete', 'table', 'ip', natTable] });
  }

  async #serveNames(folder: RunFolder, region: string): Promise<void> {
    const { namespace, bridge, gateway, dns, uplinkHost, run: number } = this.addresses;
    const hosts = Array.from({ length: LAST_GUEST - FIRST_GUEST + 1 }, (_, i) =>
      this.addresses.guest(FIRST_GUEST + i),
    );
    const configuration = [
      `interface=${bridge}`,
      'bind-interfaces',
      'except-interface=lo',
      'no-hosts',
      // Only these have a name in here: whatever else a guest asks for does not exist.
      'no-resolv',
      ...this.mirror.hosts.map(({ name, address }) => `address=/${name}/${address}`),
      `address=/${ROUTE53}/${uplinkHost}`,
      `domain=${region}.compute.internal`,
      'dhcp-authoritative',
      'no-ping',
      `dhcp-range=10.201.${number}.${FIRST_GUEST},10.201.${number}.${LAST_GUEST},255.255.255.128,3600`,
      ...hosts.map(({ mac, ip }) => `dhcp-host=${mac},${ip}`),
      `dhcp-option=option:router,${gateway}`,
      `dhcp-option=option:dns-server,${dns}`,
      `dhcp-option=option:mtu,${this.mtu}`,
      `dhcp-leasefile=${folder.file('network', 'leases')}`,
      'user=root',
      'log-facility=-',
      'log-dhcp',
    ];
    const file = folder.file('network', 'dnsmasq.conf');
    writeFileSync(file, configuration.join('\n') + '\n');
    start(
      [
        'ip',
        'netns',
        'exec',
        namespace,
        'dnsmasq',
        '--keep-in-foreground',
        `--conf-file=${file}`,
        '--pid-file=',
      ],
      folder.undo,
      {
        name: 'dnsmasq',
        logFile: join(folder.logs, 'dnsmasq.log'),
      },
    );
  }
}

/** Takes the first free run number: adding a namespace fails when its name is taken, so two runs cannot share one. */
async function claimNamespace(folder: RunFolder): Promise<Addresses> {
  for (let number = 0; number < 200; number++) {
    const addresses = new Addresses(number);
    const inUse = await run(['ip', '-4', 'route', 'show', 'root', `10.201.${number}.0/24`]);
    if (inUse.stdout.trim() !== '') continue;
    const { status } = await run(['ip', 'netns', 'add', addresses.namespace], { allowFailure: true });
    if (status !== 0) continue;
    folder.undo.add({ kind: 'command', argv: ['ip', 'netns', 'del', addresses.namespace] });
    return addresses;
  }
  throw new Error('no free run number: `npm run e2e -- --down` removes runs that were kept');
}

async function defaultInterface(): Promise<string> {
  const { stdout } = await run(['ip', '-4', '-json', 'route', 'show', 'default']);
  const name = (JSON.parse(stdout || '[]') as { dev?: string }[])[0]?.dev;
  if (!name) throw new Error('this machine has no default route: guests could not reach the package mirror');
  return name;
}
