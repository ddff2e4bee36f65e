#!/usr/bin/env node
// @ts-check
/**
 * Makes this checkout ready to use: packages, the compiled runtime and kernels, the default model. Run before anything
 * is installed, so it uses nothing but Node.
 *
 *   node scripts/setup.mjs [--for packages|kernels|run|test|e2e|deploy]
 *
 * Does only what is missing, in some 0.1 s when nothing is. Two runs at once wait for each other.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { build, isBuilt } from './lib/build.mjs';
import { cachedDefaultModel, DEFAULT_MODEL } from './lib/default-model.mjs';
import { exclusive } from './lib/exclusive.mjs';
import { areKernelsBuilt, buildKernels, hasKernels } from './lib/kernels/built.mjs';
import { forgetMiss, rememberedMiss, rememberMiss, sayMiss } from './lib/kernels/missed.mjs';
import { isInstalled, npmInstall, packagesOf } from './lib/npm.mjs';
import { checkNode, machinePackages } from './lib/platform.mjs';
import { Interrupted, interruptible } from './lib/interrupt.mjs';
import { run } from './lib/run.mjs';
import { SetupError, step } from './lib/say.mjs';
import { isCompilerHere } from './lib/zig/compiler.mjs';
import { NoCompiler } from './lib/zig/no-compiler.mjs';

/**
 * @typedef {'packages' | 'kernels' | 'run' | 'test' | 'e2e' | 'deploy'} Purpose
 * @typedef {{ name: string, done: () => boolean, work: () => Promise<void>, without?: (error: unknown) => void }} Step
 * without: takes the failure of a step that one can do without, or throws it again
 */

/** @type {readonly Purpose[]} */
const PURPOSES = ['packages', 'kernels', 'run', 'test', 'e2e', 'deploy'];

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const RUNTIME = join(ROOT, 'runtime');

/**
 * @param {Purpose} purpose what the checkout is made ready for: `packages` is enough to check and compile the source,
 * `kernels` is these alone, `run` needs the runtime, and can do without its kernels, `deploy` the stacks too, `test` and
 * `e2e` also the default model
 * @throws SetupError, Interrupted
 */
export async function setUp(purpose) {
  checkNode();
  const steps = stepsFor(purpose);
  if (!steps.every((each) => each.done())) {
    await exclusive(join(ROOT, '.artifacts', 'setup.lock'), async () => {
      // Looked at again one by one: another set-up may have done them while this one waited.
      for (const each of steps) if (!each.done()) await step(each.name, each.work).catch(each.without);
    });
  }
  if (purpose === 'run') sayMiss(ROOT);
}

/**
 * @param {Purpose} purpose
 * @returns {Step[]}
 */
function stepsFor(purpose) {
  if (purpose === 'packages') return [rootPackages(), runtimePackages()];
  if (purpose === 'kernels') return kernels();
  const steps = [
    runtimePackages(),
    engine(),
    compiledRuntime(),
    ...(purpose === 'run' ? spareableKernels() : kernels()),
  ];
  if (purpose !== 'run') steps.unshift(rootPackages());
  if (purpose === 'test' || purpose === 'e2e') steps.push(defaultModel());
  return steps;
}

/** @returns {Step} */
function rootPackages() {
  return {
    name: 'packages of the stacks and tests (npm ci)',
    done: () => isInstalled(ROOT),
    work: () => npmInstall(['ci', '--no-audit', '--no-fund'], ROOT),
  };
}

/**
 * Without the optional packages: those are builds for all machines, 700 MB, of which one of each is needed (next step).
 *
 * @returns {Step}
 */
function runtimePackages() {
  return {
    name: 'packages of the runtime (npm ci)',
    done: () => isInstalled(RUNTIME),
    work: () => npmInstall(['ci', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'], RUNTIME),
  };
}

/** @returns {Step} */
function engine() {
  const pinned = packagesOf(join(RUNTIME, 'package-lock.json'));
  const wanted = machinePackages().map((name) => {
    const version = pinned?.[`node_modules/${name}`]?.version;
    if (version) return { name, version };
    throw new SetupError(`runtime/package-lock.json does not list ${name}`, 'run npm install in runtime/');
  });
  return {
    name: `engine for this machine (${wanted.map(({ name, version }) => `${name} ${version}`).join(', ')})`,
    done: () => {
      const installed = packagesOf(join(RUNTIME, 'node_modules', '.package-lock.json'));
      return wanted.every(
        ({ name, version }) =>
          installed?.[`node_modules/${name}`]?.version === version &&
          existsSync(join(RUNTIME, 'node_modules', name, 'package.json')),
      );
    },
    // --no-save: the lock file already pins them, by version and by integrity, as optional packages.
    work: () =>
      npmInstall(
        [
          'install',
          '--no-save',
          '--omit=optional',
          '--ignore-scripts',
          '--no-audit',
          '--no-fund',
          ...wanted.map(({ name, version }) => `${name}@${version}`),
        ],
        RUNTIME,
      ),
  };
}

/** @returns {Step} */
function compiledRuntime() {
  return { name: 'the runtime, compiled', done: () => isBuilt(ROOT), work: () => build(ROOT) };
}

/**
 * @param {number} [attempts] where the network fails
 * @returns {Step[]}
 */
function kernels(attempts = 3) {
  if (!hasKernels) return [];
  const download = isCompilerHere(ROOT) ? '' : ', with a compiler that is fetched first, 98 MB';
  return [
    {
      name: `kernels for this machine's processor${download}`,
      done: () => areKernelsBuilt(ROOT),
      work: async () => {
        await buildKernels(ROOT, { attempts });
        forgetMiss(ROOT);
      },
    },
  ];
}

/**
 * For who only wants to see it run, without a compiler it runs as well. What takes time to find out, such as a network
 * that does not answer, is not tried again at each start.
 *
 * @returns {Step[]}
 */
function spareableKernels() {
  return kernels(1).map((each) => ({
    ...each,
    // Another clone may have fetched the compiler since.
    done: () => each.done() || (rememberedMiss(ROOT) !== undefined && !isCompilerHere(ROOT)),
    without: (error) => {
      if (!(error instanceof NoCompiler)) throw error;
      rememberMiss(ROOT, error);
    },
  }));
}

/** @returns {Step} */
function defaultModel() {
  return {
    name: 'the default model (98 MB)',
    done: () => cachedDefaultModel(ROOT) !== undefined,
    work: async () => {
      const { code, output } = await run(
        process.execPath,
        [join(RUNTIME, 'dist', 'cli', 'bot.js'), 'model', 'pull', DEFAULT_MODEL, '--json'],
        { cwd: ROOT },
      );
      if (code !== 0)
        throw new SetupError(`the default model is not there:\n    ${output.trim()}`, 'then run this again');
    },
  };
}

/**
 * Says what ended the set-up early, and sets the exit status to it.
 *
 * @param {unknown} error
 */
export function reportFailure(error) {
  if (error instanceof Interrupted) {
    process.stderr.write('setup: interrupted\n');
    process.exitCode = 130;
    return;
  }
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`setup: ${error.message}\n`);
  process.exitCode = 1;
}

/** @param {string[]} args */
async function main(args) {
  const { values } = parseArgs({
    args,
    options: { for: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(`usage: node scripts/setup.mjs [--for ${PURPOSES.join('|')}]   (default: test)\n`);
    return;
  }
  const purpose = PURPOSES.find((each) => each === (values.for ?? 'test'));
  if (!purpose) {
    throw new SetupError(`--for should be one of ${PURPOSES.join(', ')}, got ${values.for}`, 'see --help');
  }
  await setUp(purpose);
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  interruptible(() => main(process.argv.slice(2))).catch(reportFailure);
}
