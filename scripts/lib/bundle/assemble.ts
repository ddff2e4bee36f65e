/** Puts a bundle's files together in a folder. Every step takes pinned inputs and leaves the same files. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

import { writeJson } from './archive';
import { withoutDebugSections } from './elf';
import { filesUnder } from './inputs';
import { addNode, pinnedNode } from './node';
import { thirdPartyNotices } from './notices';
import type { Platform } from './platform';
import { pruneModules } from './prune';
import { pinnedInLock, unpackPackage } from './registry-package';

const SCRIPTS = ['bin/bot', 'bin/generate_token.sh', 'bin/model_loader', 'bin/upgrade.sh'];
/** What is run, not read, from the bundle's root. */
export const EXECUTABLES = [...SCRIPTS, 'bin/node', 'scripts/generate_token.sh'];

export interface Assembly {
  /** The repository. */
  readonly root: string;
  /** An empty folder that becomes the bundle. */
  readonly folder: string;
  readonly platform: Platform;
  readonly step: <T>(name: string, work: () => Promise<T>) => Promise<T>;
}

export async function assemble({ root, folder, platform, step }: Assembly): Promise<void> {
  const runtime = join(root, 'runtime');
  const app = join(folder, 'app');
  mkdirSync(app, { recursive: true });

  const pinned = (name: string) => pinnedInLock(join(runtime, 'package-lock.json'), name);
  const node = pinnedNode(root, platform);
  const engine = pinned(`@node-llama-cpp/${platform}`);
  const compiled = [engine, pinned(`@koromix/koffi-${platform}`)];
  const modules = join(app, 'node_modules');
  // First, and alone: without a compiler nothing else needs to be fetched.
  await addKernels({ root, folder: join(app, 'dist', 'kernels'), platform, step });
  await Promise.all([
    step('compiled runtime', () => addCompiled(root, join(app, 'dist'))),
    step('production packages', () => installPackages(runtime, app)).then(() =>
      step(`engine ${engine.version}`, () =>
        Promise.all(compiled.map((each) => unpackPackage(each, join(modules, each.name)))),
      ),
    ),
    step(`Node ${node.version}`, () => addNode(folder, node)),
  ]);

  pruneModules(modules);
  const libraries = compiled.flatMap(({ name }) => filesUnder(join(modules, name)));
  for (const library of libraries.filter((file) => /\.(so|node)\b/.test(file)))
    writeFileSync(library, withoutDebugSections(readFileSync(library)));
  cpSync(join(runtime, 'console'), join(app, 'console'), { recursive: true });
  cpSync(join(runtime, 'models.lock.json'), join(app, 'models.lock.json'));
  for (const script of SCRIPTS) cpSync(join(runtime, script), join(folder, script));
  cpSync(join(runtime, 'bin', 'generate_token.sh'), join(folder, 'scripts', 'generate_token.sh'));
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'THIRD-PARTY-NOTICES'), thirdPartyNotices(modules, node.version));
  const { version } = JSON.parse(readFileSync(join(runtime, 'package.json'), 'utf8')) as { version: string };
  writeJson(join(folder, 'VERSION'), { version, node: node.version, llama: engine.version, platform });
}

/**
 * Without a compiler there is no bundle: one that lacks the kernels would be another, and replace the machine by a
 * slower one.
 */
async function addKernels({ root, folder, platform, step }: Assembly): Promise<void> {
  const { compileKernels, KERNEL_PLATFORM } = await import('../kernels/compile.mjs');
  if (platform !== KERNEL_PLATFORM) return;
  await step('kernels', () => compileKernels(root, folder));
}

/**
 * As set-up compiles it, without what only debuggers read. File by file after the sources: what is left in runtime/dist
 * of those that were since removed stays out.
 */
async function addCompiled(root: string, dist: string): Promise<void> {
  const { build, isBuilt } = await import('../build.mjs');
  if (!isBuilt(root)) await build(root);
  const sources = join(root, 'runtime', 'src');
  for (const source of filesUnder(sources).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.d.ts'),
  )) {
    const name = relative(sources, source).replace(/\.ts$/, '.js');
    const compiled = readFileSync(join(root, 'runtime', 'dist', name), 'utf8');
    const file = join(dist, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, compiled.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n'));
  }
}

async function installPackages(runtime: string, app: string): Promise<void> {
  const { npm } = await import('../npm.mjs');
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(runtime, file), join(app, file));
  await npm(['ci', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'], app);
  rmSync(join(app, 'package-lock.json'));
}
