// @ts-check
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { interruption, throwIfInterrupted } from './interrupt.mjs';
import { run } from './run.mjs';
import { note, SetupError } from './say.mjs';

/** What npm prints when the registry could not be reached or answered with a passing failure. */
const NETWORK_FAILURE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|E5\d\d|ENOTCACHED)\b|network|socket hang up/i;

/** Waits before the second and the third attempt, in milliseconds. */
const RETRY_WAITS = [2_000, 6_000];

/**
 * Says that an install went through to its end. npm's own node_modules/.package-lock.json cannot: after an install
 * that was cut off in the middle it may name packages whose files are not there.
 *
 * @param {string} folder
 */
const stampFile = (folder) => join(folder, 'node_modules', '.botstack-installed');

/**
 * Runs an npm command that changes node_modules in `folder`.
 *
 * @param {readonly string[]} args
 * @param {string} folder
 */
export async function npmInstall(args, folder) {
  rmSync(stampFile(folder), { force: true });
  await npm(args, folder);
  writeFileSync(stampFile(folder), '');
}

/**
 * Runs an npm command, again where the network failed.
 *
 * @param {readonly string[]} args
 * @param {string} cwd
 * @param {{ attempts?: number }} [options]
 */
export async function npm(args, cwd, { attempts = 3 } = {}) {
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await runNpm(args, cwd);
    if (code === 0) return;
    if (code === 130 || code === 143) {
      throw new SetupError(`npm ${args[0]} was interrupted`, 'run the command again');
    }
    const network = NETWORK_FAILURE.test(output);
    if (network && attempt < attempts) {
      const wait = RETRY_WAITS[Math.min(attempt, RETRY_WAITS.length) - 1] ?? 0;
      note(`the package registry did not answer, attempt ${attempt + 1} of ${attempts} in ${wait / 1000} s`);
      await sleep(wait, undefined, { signal: interruption }).catch(() => undefined);
      throwIfInterrupted();
      continue;
    }
    throw npmFailure(args, cwd, code, output, network);
  }
}

/**
 * npm as this process was started with (npm_execpath is set inside `npm run`), else the one on PATH.
 *
 * @param {readonly string[]} args
 * @param {string} cwd
 */
async function runNpm(args, cwd) {
  // npm passes its own settings down as npm_config_*; one set-up inside `npm run --workspace` or `npm ci` would
  // inherit a --prefix or --omit that is not meant for it.
  const env = { ...process.env };
  for (const name of [
    'npm_config_prefix',
    'npm_config_local_prefix',
    'npm_config_omit',
    'npm_config_workspace',
  ]) {
    delete env[name];
  }
  const cli = process.env['npm_execpath'];
  if (cli && /npm-cli\.c?js$/.test(cli) && existsSync(cli))
    return run(process.execPath, [cli, ...args], { cwd, env });
  return process.platform === 'win32'
    ? run('npm.cmd', args, { cwd, env, shell: true })
    : run('npm', args, { cwd, env });
}

/**
 * @param {readonly string[]} args
 * @param {string} cwd
 * @param {number} code
 * @param {string} output
 * @param {boolean} network
 */
function npmFailure(args, cwd, code, output, network) {
  if (code === 127) {
    return new SetupError(
      'npm was not found',
      'install Node.js with npm (https://nodejs.org), then run this again',
    );
  }
  const lines = output
    .split('\n')
    .filter((line) => /^npm (error|ERR!)/.test(line) && !/A complete log/.test(line));
  const detail = (lines.length > 0 ? lines : output.trim().split('\n')).slice(0, 8).join('\n    ');
  if (network) {
    return new SetupError(
      `npm could not reach the package registry:\n    ${detail}`,
      'check the network; behind a proxy set HTTPS_PROXY, with a mirror of your own: npm config set registry URL',
    );
  }
  if (/\bEACCES\b|\bEPERM\b|\bEROFS\b/.test(output)) {
    return new SetupError(
      `npm may not write to ${join(cwd, 'node_modules')}:\n    ${detail}`,
      'make the folder yours (an earlier run as root leaves such files), then run this again',
    );
  }
  if (/\bENOSPC\b/.test(output)) {
    return new SetupError(
      'the disk is full: npm could not write its packages',
      'free some 500 MB, then run this again',
    );
  }
  return new SetupError(
    `npm ${args.join(' ')} failed in ${cwd} (exit ${code}):\n    ${detail}`,
    'if package.json was edited by hand, run npm install there; else remove node_modules there and run this again',
  );
}

/**
 * Says whether node_modules holds what the lock file asks for, whole: the same versions with the same integrity.
 * Optional packages are not looked at: which of them belong here depends on the machine.
 *
 * @param {string} folder with package.json and package-lock.json
 */
export function isInstalled(folder) {
  const wanted = packagesOf(join(folder, 'package-lock.json'));
  const present = packagesOf(join(folder, 'node_modules', '.package-lock.json'));
  if (!wanted)
    throw new SetupError(`${join(folder, 'package-lock.json')} is missing`, 'restore it: git checkout it');
  if (!present || !existsSync(stampFile(folder))) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.optional || entry.devOptional || entry.link) return true;
    const found = present[path];
    return found?.version === entry.version && found?.integrity === entry.integrity;
  });
}

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, link?: boolean }} LockEntry
 * @param {string} file a lock file of npm, version 2 or 3
 * @returns {Record<string, LockEntry> | undefined} undefined where the file is missing or unreadable
 */
export function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}
