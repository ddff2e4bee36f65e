/** An installation in a folder: releases made of the compiled runtime, run by a shell command in systemd's place. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePort } from '../../support/free-port';
import { REPOSITORY } from '../../support/test-model';
import { API_KEY } from './test-service';

const RUNTIME = join(REPOSITORY, 'runtime');

/** Stops and starts `bot serve` of the current release, as systemd's unit does. */
const SERVICE = `#!/bin/sh
root=$(dirname "$0")
if [ -f "$root/pid" ]; then
  kill "$(cat "$root/pid")" 2>/dev/null
  while kill -0 "$(cat "$root/pid")" 2>/dev/null; do sleep 0.05; done
fi
[ "$1" = stop ] && exit 0
set -a; . "$root/etc/bot/environment"; set +a
setsid "$root/opt/bot/current/bin/bot" serve --config "$root/etc/bot/config.yaml" >>"$root/output" 2>&1 </dev/null &
echo $! >"$root/pid"
`;

export class InstalledService {
  private constructor(
    readonly root: string,
    readonly port: number,
  ) {}

  static async create(modelPath: string): Promise<InstalledService> {
    const root = mkdtempSync(join(tmpdir(), 'botstack-root-'));
    const port = await freePort();
    for (const folder of ['opt/bot/releases', 'opt/bot/models', 'etc/bot', 'var/lib/bot', 'var/log/bot'])
      mkdirSync(join(root, folder), { recursive: true });
    // Releases find their packages above them: copies of 200 MB would show nothing more.
    symlinkSync(join(RUNTIME, 'node_modules'), join(root, 'node_modules'));
    writeFileSync(join(root, 'service'), SERVICE, { mode: 0o755 });
    const service = new InstalledService(root, port);
    service.configure(modelPath);
    return service;
  }

  configure(modelPath: string): void {
    writeFileSync(
      this.path('etc/bot/config.yaml'),
      [
        '# a comment that stays',
        `model_path: ${modelPath}`,
        'security: { api_key: "${TEST_KEY}" }',
        `network: { internal_port: ${this.port}, console_port: 0 }`,
        'engine: { context_size: 256, sequences: 1, threads: 1 }',
        `state_directory: ${this.path('var/lib/bot')}`,
        `logging: { directory: ${this.path('var/log/bot')} }`,
        '',
      ].join('\n'),
    );
    writeFileSync(this.path('etc/bot/environment'), `TEST_KEY=${API_KEY}\n`);
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  read(path: string): string {
    return readFileSync(this.path(path), 'utf8');
  }

  /** A bundle of this version; `alter` gets the folder before it is packed. Returns its path. */
  bundle(version: string, alter: (folder: string) => void = () => undefined): string {
    const folder = mkdtempSync(join(this.root, 'bundle-'));
    for (const script of ['bot', 'upgrade.sh', 'model_loader'])
      cpSync(join(RUNTIME, 'bin', script), join(folder, 'bin', script));
    symlinkSync(process.execPath, join(folder, 'bin', 'node'));
    cpSync(join(RUNTIME, 'dist'), join(folder, 'app', 'dist'), { recursive: true });
    const manifest = JSON.parse(readFileSync(join(RUNTIME, 'package.json'), 'utf8')) as object;
    writeFileSync(join(folder, 'app', 'package.json'), JSON.stringify({ ...manifest, version }));
    writeFileSync(join(folder, 'VERSION'), JSON.stringify({ version, platform: `linux-${process.arch}` }));
    alter(folder);
    const packed = join(this.root, 'packed.tar.gz');
    spawnSync('tar', ['-C', folder, '-czf', packed, '.']);
    const digits = createHash('sha256').update(readFileSync(packed)).digest('hex').slice(0, 12);
    const path = join(this.root, `bot-${version}-linux-${process.arch}-${digits}.tar.gz`);
    cpSync(packed, path);
    rmSync(folder, { recursive: true });
    return path;
  }

  /** Unpacks a bundle and links it, as the bootstrap does. */
  install(bundle: string): void {
    const name = /-([0-9a-f]{12})\.tar\.gz$/.exec(bundle)?.[1] ?? '';
    const release = this.path('opt/bot/releases', name);
    mkdirSync(release);
    spawnSync('tar', ['-C', release, '-xzf', bundle]);
    chmodSync(release, 0o755);
    symlinkSync(join('releases', name), this.path('opt/bot/current'));
    symlinkSync('current/bin', this.path('opt/bot/bin'));
  }

  current(): string {
    return readlinkSync(this.path('opt/bot/current'));
  }

  /** Runs a program of the current release below the root. `errors` is the part of its output that is standard error. */
  run(
    program: string,
    ...args: readonly string[]
  ): { status: number | null; output: string; errors: string } {
    const { status, stdout, stderr } = spawnSync(this.path('opt/bot/bin', program), args, {
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr, errors: stderr };
  }

  /** The flags that point a command at this installation. */
  get flags(): readonly string[] {
    return ['--root', this.root, '--service-command', this.path('service')];
  }

  tell(verb: 'stop' | 'restart'): void {
    spawnSync(this.path('service'), [verb], { stdio: 'ignore' });
  }

  /** Waits until /readyz says 200. */
  async ready(): Promise<void> {
    const deadline = Date.now() + 90_000;
    for (;;) {
      const probe = await fetch(`http://127.0.0.1:${this.port}/readyz`).catch(() => undefined);
      if (probe?.status === 200) return;
      if (Date.now() > deadline) throw new Error(`the service did not get ready: ${this.read('output')}`);
      await sleep(50);
    }
  }

  dispose(): void {
    this.tell('stop');
    rmSync(this.root, { recursive: true, force: true });
  }
}
