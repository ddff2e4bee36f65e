// @ts-check
/** A set-up that went on without kernels: it says so at each start, and does not ask the network at each. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { note } from '../say.mjs';
import { areKernelsBuilt, hasKernels, kernelsHash } from './built.mjs';

/** How long it is not tried again by itself, in milliseconds: what is told names the command that tries at once. */
const REMEMBERED = 86_400_000;

/** @typedef {{ cause: string, remedy: string }} Miss */

/** Of this run: also what is seen at no cost and looked at again the next time. @type {Miss | undefined} */
let latest;

/** @param {string} root the repository */
const memory = (root) => join(root, '.artifacts', 'kernels-missed.json');

/**
 * @param {string} root the repository
 * @param {import('../zig/no-compiler.mjs').NoCompiler} error
 */
export function rememberMiss(root, { why, cause, remedy }) {
  latest = { cause, remedy };
  if (why === 'machine') return;
  mkdirSync(dirname(memory(root)), { recursive: true });
  writeFileSync(memory(root), JSON.stringify({ ...latest, time: Date.now(), hash: kernelsHash(root) }));
}

/** @param {string} root the repository */
export function forgetMiss(root) {
  latest = undefined;
  rmSync(memory(root), { force: true });
}

/**
 * Why there are no kernels, by an attempt of the last day with the same sources and compiler.
 *
 * @param {string} root the repository
 * @returns {Miss | undefined}
 */
export function rememberedMiss(root) {
  try {
    const { cause, remedy, time, hash } = JSON.parse(readFileSync(memory(root), 'utf8'));
    const age = Date.now() - time;
    return age >= 0 && age < REMEMBERED && hash === kernelsHash(root) ? { cause, remedy } : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} root the repository */
export function sayMiss(root) {
  if (!hasKernels || areKernelsBuilt(root)) return;
  const miss = latest ?? rememberedMiss(root);
  if (miss === undefined) return;
  note(
    `prompts are read two to three times slower, with llama.cpp's own kernels: ${miss.cause}\n` +
      `  ${miss.remedy}, then run: node scripts/setup.mjs --for kernels`,
  );
}
