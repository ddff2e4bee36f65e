// @ts-check
/** What the set-up prints: one line a step, with its seconds, and failures that name the remedy. */
import { Interrupted } from './interrupt.mjs';

/** A failure that the person can act on: shown without a stack trace. */
export class SetupError extends Error {
  /**
   * @param {string} message what went wrong
   * @param {string} remedy what to do about it
   */
  constructor(message, remedy) {
    super(`${message}\n  ${remedy}`);
    this.name = 'SetupError';
  }
}

/**
 * Runs one step and prints one line for it. On a terminal the line shows while the step runs.
 *
 * Everything goes to standard error: standard output belongs to the command that comes after the set-up.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(name, work) {
  const started = performance.now();
  const live = Boolean(process.stderr.isTTY);
  if (live) process.stderr.write(`setup: ${name} …`);
  const end = () => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    return `${live ? '\r\u001B[2K' : ''}setup: ${name}  ${seconds} s`;
  };
  try {
    const result = await work();
    process.stderr.write(`${end()}\n`);
    return result;
  } catch (error) {
    process.stderr.write(`${end()}, ${error instanceof Interrupted ? 'not finished' : 'failed'}\n`);
    throw error;
  }
}

/** @param {string} text */
export function note(text) {
  process.stderr.write(`setup: ${text}\n`);
}
