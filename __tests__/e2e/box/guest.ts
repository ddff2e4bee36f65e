/** A guest: Debian with systemd and cloud-init, in a container that passes for an EC2 instance. */
import { appendFileSync, existsSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestAddresses } from './addresses';
import {
  type BackgroundProcess,
  type CommandResult,
  type CommandOptions,
  run,
  start,
  waitFor,
} from './commands';
import { type ControlGroups, createControlGroups, type GuestSize } from './control-groups';
import { identify, isAlive, signalGroup } from './process-identity';
import type { Network } from './network';
import { sourcesList } from './package-mirror';
import { createDisk, ensureRootFileSystem, growDisk, type GuestOs, suiteOf } from './rootfs';
import type { RunFolder } from './run-folder';

export interface GuestOptions {
  name: string;
  addresses: GuestAddresses;
  os: GuestOs;
  size: GuestSize;
  /** Variables that every service of the guest sees: systemd's DefaultEnvironment. */
  environment: Record<string, string>;
  /** More files on its disk, before the first boot (path to text). */
  files?: Readonly<Record<string, string>>;
  /** The size of its disk, beside what the image holds. @default what the host has */
  diskMiB?: number;
  /** A certificate authority that it trusts beside those of its image: PEM. */
  authority?: string;
}

export class Guest {
  /** When it was switched on last (milliseconds since the epoch). */
  startedAt = 0;
  #supervisor!: BackgroundProcess;

  private constructor(
    readonly folder: RunFolder,
    readonly network: Network,
    readonly options: GuestOptions,
    readonly disk: string,
    readonly groups: ControlGroups,
    readonly consoleLog: string,
  ) {}

  static async boot(folder: RunFolder, network: Network, options: GuestOptions): Promise<Guest> {
    const { name, addresses, os } = options;
    const { mirror } = network;
    const files = {
      '/etc/apt/sources.list': sourcesList(mirror, suiteOf(os)),
      '/etc/systemd/system.conf.d/box.conf': `[Manager]\nDefaultEnvironment=${quoted(options.environment)}\n`,
      // The service gets a /proc of its own (ProtectProc), and so would see the host's memory: see first-process.sh.
      '/etc/systemd/system/bot.service.d/box.conf': `[Service]\nBindReadOnlyPaths=/run/host/meminfo:/proc/meminfo\n`,
      ...options.files,
    };
    const lower = await ensureRootFileSystem(os, mirror, console.log);
    const disk = await createDisk(folder, name, lower, files, options.diskMiB);
    if (options.authority !== undefined)
      appendFileSync(join(disk, '/etc/ssl/certs/ca-certificates.crt'), options.authority);
    folder.undo.add({
      kind: 'command',
      argv: [join(__dirname, 'collect-logs.sh'), disk, join(folder.logs, name)],
    });
    await plugIn(folder, network, addresses);
    const groups = createControlGroups(`${network.addresses.namespace}-${name}`, options.size, folder.undo);
    const guest = new Guest(folder, network, options, disk, groups, join(folder.logs, `${name}-console.log`));
    guest.setMemory(options.size.memoryMiB);
    guest.powerOn();
    return guest;
  }

  /** Switches it on: it boots from its disk, whatever is there. */
  powerOn(): void {
    const { name, addresses, os } = this.options;
    const argv = [
      ...[join(__dirname, 'run-guest.sh'), name, this.disk, addresses.namespace, this.#memoryFile],
      ...[this.groups.mode, os === 'debian-13' ? '1' : '', ...this.groups.paths],
    ];
    this.startedAt = Date.now();
    // Only the supervisor is told to end; the guest itself goes with its control groups, whose undo comes next.
    const background = { name: `guest ${name}`, logFile: this.consoleLog, graceMs: 0 };
    this.#supervisor = start(argv, this.folder.undo, background);
  }

  /** What it takes to be its memory, from now on; the limit stays what it was. */
  setMemory(memoryMiB: number): void {
    writeFileSync(this.#memoryFile, memoryInformation(memoryMiB));
  }

  /** Makes the disk larger that was given a size. */
  async growDisk(sizeMiB: number): Promise<void> {
    await growDisk(this.folder, this.options.name, sizeMiB);
  }

  get #memoryFile(): string {
    return this.folder.file('guests', this.options.name, 'meminfo');
  }

  get ip(): string {
    return this.options.addresses.ip;
  }

  /** Runs a command in the guest as root, the way a person in a session there would. */
  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const leader = this.#leader();
    if (leader === undefined)
      throw new Error(`guest ${this.options.name} does not run: see ${this.consoleLog}`);
    const environment = Object.entries({
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      TERM: 'dumb',
      LANG: 'C.UTF-8',
      ...this.options.environment,
    }).map(([key, value]) => `${key}=${value}`);
    const enter = [
      'nsenter',
      '-t',
      String(leader),
      '-m',
      '-u',
      '-i',
      '-p',
      '-n',
      '-C',
      '--',
      '/usr/bin/env',
      '-i',
    ];
    return run([...enter, ...environment, ...argv], options);
  }

  /** Runs shell text in the guest as root. */
  async shell(script: string, options: CommandOptions = {}): Promise<CommandResult> {
    return this.exec(['/bin/sh', '-c', script], options);
  }

  /** The text of a file on its disk; works while the guest is down, too. Undefined when there is none. */
  readFile(path: string): string | undefined {
    const file = join(this.disk, path);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }

  /** Waits until systemd inside takes commands. */
  async waitForSystemd(): Promise<void> {
    await waitFor(
      `systemd in guest ${this.options.name}`,
      () => {
        const leader = this.#leader();
        return leader !== undefined && existsSync(`/proc/${leader}/root/run/systemd/private`)
          ? true
          : undefined;
      },
      { timeoutMs: 180_000 },
    );
  }

  /** Waits until cloud-init has ended and returns its status line, `done` or `error`. */
  async waitForCloudInit(timeoutMs: number): Promise<string> {
    await this.waitForSystemd();
    const { stdout } = await this.exec(['cloud-init', 'status', '--wait'], { timeoutMs, allowFailure: true });
    return stdout.trim().split(/\s+/).at(-1) ?? '';
  }

  /** Ends the guest at once, as a terminated instance or a power cut does; its disk and its logs stay. */
  async powerOff(): Promise<void> {
    const leader = this.#leader();
    const process1 = leader === undefined ? undefined : identify(leader);
    // The supervisor first: it would take the end of the guest for a reboot.
    signalGroup(this.#supervisor.identity, 'SIGKILL');
    // It may have gone with its supervisor.
    if (process1) signalGroup(process1, 'SIGKILL');
    // Not `await exited`: nothing would keep this program alive meanwhile.
    const all = [this.#supervisor.identity, ...(process1 ? [process1] : [])];
    await waitFor(`the end of guest ${this.options.name}`, () => (all.some(isAlive) ? undefined : true), {
      timeoutMs: 60_000,
    });
  }

  /** When its process 1 began, in ticks of the kernel's clock: another after each boot. Undefined while it is down. */
  bootedAt(): string | undefined {
    const leader = this.#leader();
    return leader === undefined ? undefined : identify(leader)?.startTime;
  }

  /** A command line that opens a root shell in the guest. */
  shellCommand(): string {
    return `nsenter -t ${this.#leader() ?? 0} -m -u -i -p -n -C -- /bin/bash -l`;
  }

  /** Process 1 of the guest, by its number out here; undefined while it is down. */
  #leader(): number | undefined {
    const own = readlinkSync('/proc/self/ns/pid');
    return descendants(this.#supervisor.pid).find((pid) => {
      try {
        if (readlinkSync(`/proc/${pid}/ns/pid`) === own) return false;
        return /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false; // it has just ended
      }
    });
  }
}

/** The guest's cable: one end in a namespace of its own, the other on the bridge. */
async function plugIn(
  folder: RunFolder,
  network: Network,
  { namespace, mac, bridgePort }: GuestAddresses,
): Promise<void> {
  const mtu = String(network.mtu);
  // A run that was killed between making it and writing that down has left one of this name.
  await run(['ip', 'netns', 'del', namespace], { allowFailure: true });
  await run(['ip', 'netns', 'add', namespace]);
  folder.undo.add({ kind: 'command', argv: ['ip', 'netns', 'del', namespace] });
  // prettier-ignore
  await run(['ip', '-n', namespace, 'link', 'add', 'ens5', 'mtu', mtu, 'address', mac, 'type', 'veth',
    'peer', 'name', bridgePort, 'mtu', mtu, 'netns', network.addresses.namespace]);
  await network.ip('link', 'set', bridgePort, 'master', network.addresses.bridge, 'up');
}

/** /proc/meminfo of a machine of this size shortly after its boot; see first-process.sh. */
function memoryInformation(memoryMiB: number): string {
  const usedByTheSystemMiB = 150;
  const lines = {
    MemTotal: memoryMiB,
    MemFree: memoryMiB - usedByTheSystemMiB,
    MemAvailable: memoryMiB - usedByTheSystemMiB,
  };
  const fixed = {
    Buffers: 0,
    Cached: 0,
    SwapCached: 0,
    SwapTotal: 0,
    SwapFree: 0,
    Shmem: 0,
    SReclaimable: 0,
  };
  return Object.entries({ ...lines, ...fixed })
    .map(([name, mib]) => `${`${name}:`.padEnd(16)}${String(mib * 1024).padStart(8)} kB\n`)
    .join('');
}

function quoted(environment: Record<string, string>): string {
  return Object.entries(environment)
    .map(([key, value]) => `"${key}=${value}"`)
    .join(' ');
}

function descendants(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
        .split(' ')
        .filter(Boolean)
        .map(Number)
        .flatMap((child) => [child, ...descendants(child)]),
    );
  } catch {
    return [];
  }
}
