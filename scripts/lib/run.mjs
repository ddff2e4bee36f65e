// @ts-check
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import { Interrupted, interruption, throwIfInterrupted } from './interrupt.mjs';

/**
 * @typedef {object} RunResult
 * @property {number} code the exit status; 127 when the program could not be started
 * @property {string} output what it wrote on standard output and standard error, in order
 */

const WINDOWS = process.platform === 'win32';
/** How long a program has to end by itself after a SIGTERM, in milliseconds: npm would take longer to roll back. */
const GRACE_MS = 1_500;

/**
 * Runs a program to its end and collects what it wrote. Does not throw for a program that failed.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, shell?: boolean }} [options]
 * @returns {Promise<RunResult>}
 * @throws Interrupted, once the program and all that it started have ended
 */
export async function run(file, args, options = {}) {
  throwIfInterrupted();
  // A process group of its own: the programs that npm starts can be ended with it, and waited for.
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: !WINDOWS });
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => {
    output += chunk.toString('utf8');
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  /** @type {Promise<RunResult>} */
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 127, output: `${output}${error.message}` }));
    child.once('close', (code, signal) =>
      resolve({ code: code ?? (signal === 'SIGINT' ? 130 : 143), output }),
    );
  });
  /** @type {(value?: unknown) => void} */
  let onInterruption = () => undefined;
  const interrupted = new Promise((resolve) => (onInterruption = resolve));
  interruption.addEventListener('abort', onInterruption);
  // A crash of the set-up itself runs nothing but this.
  const kill = () => signalGroup(child, 'SIGKILL');
  process.once('exit', kill);
  try {
    const result = await Promise.race([ended, interrupted.then(() => undefined)]);
    if (result) return result;
    await endGroup(child);
    throw new Interrupted();
  } finally {
    process.removeListener('exit', kill);
    interruption.removeEventListener('abort', onInterruption);
  }
}

/**
 * Returns when nothing of the group is left.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
async function endGroup(child) {
  const deadline = performance.now() + GRACE_MS;
  let isLeft = signalGroup(child, 'SIGTERM');
  while (isLeft) {
    await sleep(20);
    // 0 is no signal: it only asks whether somebody is there.
    isLeft = signalGroup(child, performance.now() < deadline ? 0 : 'SIGKILL');
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals | 0} signal
 * @returns {boolean} whether there was somebody to receive it
 */
function signalGroup(child, signal) {
  if (child.pid === undefined) return false;
  if (WINDOWS) return child.exitCode === null && child.signalCode === null && child.kill(signal);
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}
