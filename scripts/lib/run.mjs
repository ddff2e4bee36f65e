// @ts-check
import { spawn } from 'node:child_process';

/**
 * @typedef {object} RunResult
 * @property {number} code the exit status; 127 when the program could not be started
 * @property {string} output what it wrote on standard output and standard error, in order
 */

/**
 * Runs a program to its end and collects what it wrote. Never throws for a program that failed.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, shell?: boolean, inheritOutput?: boolean }} [options]
 * @returns {Promise<RunResult>}
 */
export function run(file, args, options = {}) {
  const { inheritOutput = false, ...rest } = options;
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      ...rest,
      stdio: ['ignore', inheritOutput ? 2 : 'pipe', inheritOutput ? 2 : 'pipe'],
    });
    let output = '';
    const collect = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString('utf8');
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    // However this process ends, what it started ends too.
    const kill = () => child.kill();
    process.once('exit', kill);
    child.once('close', () => process.removeListener('exit', kill));
    child.on('error', (error) => resolve({ code: 127, output: `${output}${error.message}` }));
    child.on('close', (code, signal) => resolve({ code: code ?? (signal === 'SIGINT' ? 130 : 143), output }));
  });
}
