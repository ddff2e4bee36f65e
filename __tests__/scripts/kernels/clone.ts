/** A clone with everything in place but the kernels, and a compiler of a few bytes that pip fetches from a folder. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { zipSync } from 'fflate';

import { REPOSITORY } from '../../support/test-model';

const VERSION = '0.0.1';
const HOST = 'linux-x64';

/** Stands in for the compiler: writes its arguments to the file that it is told to write. */
const COMPILER = `#!/bin/sh
arguments="$*"
while [ $# -gt 0 ]; do [ "$1" = -o ] && output=$2; shift; done
echo "$arguments" >"$output"
`;

export interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

export class Clone {
  readonly root: string;
  /** What pip is told to look at, and the caches. */
  readonly env: NodeJS.ProcessEnv;
  readonly tools: string;
  readonly #wheels: string;

  constructor(folder: string) {
    this.root = join(folder, 'clone');
    this.#wheels = join(folder, 'wheels');
    this.tools = join(folder, 'cache', 'botstack', 'tools');
    mkdirSync(this.#wheels);
    cpSync(join(REPOSITORY, 'scripts'), join(this.root, 'scripts'), { recursive: true });
    for (const part of [
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'node_modules',
      'runtime/kernels',
    ])
      this.#link(part);
    for (const part of ['package.json', 'package-lock.json', 'tsconfig.json', 'node_modules', 'src'])
      this.#link(join('runtime', part));
    const stamp = join('runtime', 'dist', '.sources-sha256');
    mkdirSync(join(this.root, 'runtime', 'dist'));
    cpSync(join(REPOSITORY, stamp), join(this.root, stamp));
    const outer = Object.entries(process.env).filter(([name]) => !/^(npm_|pip_)/i.test(name));
    this.env = {
      ...Object.fromEntries(outer),
      XDG_CACHE_HOME: join(folder, 'cache'),
      PIP_CONFIG_FILE: '/dev/null',
      PIP_NO_INDEX: '1',
      PIP_FIND_LINKS: this.#wheels,
    };
    this.publish();
  }

  /** Puts a wheel where pip looks, and pins it. `pinned`: another hash than the wheel's. */
  publish({ program = COMPILER, pinned }: { program?: string; pinned?: string } = {}): void {
    const files = {
      'ziglang/zig': program,
      'ziglang/lib/include/immintrin.h': '// a header\n',
      'ziglang/lib/std/std.zig': '',
      'ziglang/lib/libc/large': 'not wanted\n',
      'ziglang/LICENSE': 'MIT\n',
    };
    const hash = (text: string) => createHash('sha256').update(text).digest('base64url');
    const record = Object.entries(files).map(([name, text]) => `${name},sha256=${hash(text)},${text.length}`);
    const metadata = {
      METADATA: `Metadata-Version: 2.1\nName: ziglang\nVersion: ${VERSION}\n`,
      WHEEL: 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux2010_x86_64\n',
      RECORD: `${record.join('\n')}\n`,
    };
    const all = [
      ...Object.entries(files),
      ...Object.entries(metadata).map(([name, text]) => [`ziglang-${VERSION}.dist-info/${name}`, text]),
    ];
    const wheel = zipSync(Object.fromEntries(all.map(([name, text]) => [name, Buffer.from(text ?? '')])));
    writeFileSync(join(this.#wheels, `ziglang-${VERSION}-py3-none-manylinux2010_x86_64.whl`), wheel);
    const sha256 = pinned ?? createHash('sha256').update(wheel).digest('hex');
    const wheels = { [HOST]: { platform: 'manylinux2010_x86_64', sha256 } };
    writeFileSync(
      join(this.root, 'scripts', 'compiler.lock.json'),
      JSON.stringify({ zig: { package: 'ziglang', version: VERSION, wheels } }),
    );
  }

  setUp(purpose: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    return this.start(purpose, env).ended;
  }

  start(purpose: string, env: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, ['scripts/setup.mjs', '--for', purpose], {
      cwd: this.root,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => (stderr += String(chunk)));
    const ended = new Promise<Ended>((resolve) => {
      child.once('close', (status) => resolve({ status, stderr }));
    });
    return { child, ended };
  }

  /** The compiler's folder. */
  get compiler(): string {
    return join(this.tools, `zig-${VERSION}-${HOST}`);
  }

  /** Also hidden ones: what an attempt left half done. */
  toolsThere(): string[] {
    return existsSync(this.tools) ? readdirSync(this.tools) : [];
  }

  libraries(): string[] {
    const folder = join(this.root, 'runtime', 'dist', 'kernels');
    return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.so')) : [];
  }

  library(name: string): string {
    return readFileSync(join(this.root, 'runtime', 'dist', 'kernels', name), 'utf8');
  }

  #link(part: string): void {
    mkdirSync(join(this.root, 'runtime'), { recursive: true });
    symlinkSync(join(REPOSITORY, part), join(this.root, part));
  }
}
