#!/usr/bin/env tsx
/**
 * Packs the runtime, its production packages and a Node of its own into one archive that a bare machine can run:
 *
 *   npm run bundle -- [--platform linux-x64|linux-arm64] [--json] [--force]
 *
 * The same inputs give the same bytes, so the archive's SHA-256 names a version of the runtime. A bundle whose
 * inputs have not changed is not built again.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { archive, sha256Of, writeJson } from './lib/bundle/archive';
import { assemble, EXECUTABLES } from './lib/bundle/assemble';
import { inputsHash } from './lib/bundle/inputs';
import { isPlatform, type Platform, PLATFORMS } from './lib/bundle/platform';

const ROOT = resolve(__dirname, '..');

/** The most that a bundle may weigh, in bytes: what it costs each boot to fetch and unpack. */
const SIZE_LIMIT = 60_000_000;

export interface Bundle {
  /** Absolute; the name holds version, platform and the first 12 digits of the hash. */
  readonly path: string;
  /** Of the archive, hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface BundleOptions {
  /** The machine that will run it, which need not be this one. */
  readonly platform: Platform;
  /** Gets one line per step. @default silence */
  readonly log?: (line: string) => void;
  /** Where bundles, and the memory of what was built, are kept. @default .artifacts */
  readonly folder?: string;
  /** Builds also when the inputs have not changed. @default false */
  readonly force?: boolean;
}

/** @throws Error that names the failed step: a registry out of reach, a package that is not the pinned one */
export async function buildBundle(options: BundleOptions): Promise<Bundle> {
  const { platform, log = () => undefined, folder = join(ROOT, '.artifacts') } = options;
  mkdirSync(folder, { recursive: true });
  const memory = join(folder, `bundle-${platform}.json`);
  const inputs = inputsHash(ROOT, platform);
  if (!options.force) {
    const known = await remembered(memory, inputs);
    if (known) return known;
  }

  tidy(folder, platform);
  const staging = mkdtempSync(join(folder, 'staging-'));
  // A Ctrl-C ends the process without the finally below.
  const discard = () => rmSync(staging, { recursive: true, force: true });
  process.once('exit', discard);
  try {
    const content = join(staging, 'content');
    mkdirSync(content);
    const step = timedSteps(log);
    await assemble({ root: ROOT, folder: content, platform, step });
    const file = join(staging, 'bundle.tar.gz');
    await step('archive', () => archive(content, file, EXECUTABLES));

    const { version } = JSON.parse(readFileSync(join(content, 'VERSION'), 'utf8')) as { version: string };
    const sha256 = await sha256Of(file);
    const bundle: Bundle = {
      path: join(folder, `bot-${version}-${platform}-${sha256.slice(0, 12)}.tar.gz`),
      sha256,
      sizeBytes: statSync(file).size,
    };
    if (bundle.sizeBytes > SIZE_LIMIT) {
      throw new Error(
        `the bundle is ${megabytes(bundle.sizeBytes)}, more than the ${megabytes(SIZE_LIMIT)} it may be`,
      );
    }
    renameSync(file, bundle.path);
    writeJson(memory, { inputs, ...bundle });
    return bundle;
  } finally {
    discard();
    process.removeListener('exit', discard);
  }
}

/** The bundle of an earlier run with the same inputs, if it still is what it was. */
async function remembered(memory: string, inputs: string): Promise<Bundle | undefined> {
  try {
    const { inputs: known, ...bundle } = JSON.parse(readFileSync(memory, 'utf8')) as Bundle & {
      inputs: string;
    };
    if (known !== inputs || !existsSync(bundle.path) || (await sha256Of(bundle.path)) !== bundle.sha256)
      return undefined;
    return bundle;
  } catch {
    return undefined;
  }
}

/** Bundles kept per platform: a plan made a moment ago may still want the one before. */
const KEPT_BUNDLES = 5;
/** A build that is older than this, in milliseconds, was killed. */
const ABANDONED = 3_600_000;

/** Removes what older runs left. */
function tidy(folder: string, platform: Platform): void {
  const entries = readdirSync(folder)
    .map((name) => ({
      name,
      path: join(folder, name),
      time: statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    }))
    .sort((a, b) => b.time - a.time);
  const bundles = entries.filter(({ name }) => name.startsWith('bot-') && name.includes(`-${platform}-`));
  const abandoned = entries.filter(
    ({ name, time }) => name.startsWith('staging-') && time < Date.now() - ABANDONED,
  );
  for (const { path } of [...bundles.slice(KEPT_BUNDLES - 1), ...abandoned])
    rmSync(path, { recursive: true, force: true });
}

function timedSteps(log: (line: string) => void) {
  return async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    log(`bundle: ${name}  ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return result;
  };
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      platform: { type: 'string', default: process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64' },
      json: { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
    },
  });
  if (!isPlatform(values.platform)) {
    throw new Error(`--platform should be one of ${PLATFORMS.join(', ')}, got ${values.platform}`);
  }
  const { setUp } = await import('./setup.mjs');
  await setUp('deploy');
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const { path, sha256, sizeBytes } = await buildBundle({
    platform: values.platform,
    force: values.force,
    log,
  });
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ path, sha256, size: sizeBytes })}\n`
      : `${path}\n  ${megabytes(sizeBytes)}, SHA-256 ${sha256}\n`,
  );
}

if (require.main === module) {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  main().catch((error: unknown) => {
    process.stderr.write(`bundle: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
