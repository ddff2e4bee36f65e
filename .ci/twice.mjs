#!/usr/bin/env node
// @ts-check
/**
 * Runs tests, and once more, alone, those parts of them that failed or were skipped: the second verdict counts. So a
 * failure by luck does not lose a run, and it is named, so that it does not go unseen either.
 *
 *   node .ci/twice.mjs jest|e2e FILE
 *
 * FILE gets `PASSED FAILED SKIPPED`, each test counted once, and then a text for each test that did not pass, or not at
 * once. Without a FILE afterwards, there was no verdict.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * What is run again as a whole: a file of tests, a drill, the path of the end-to-end test.
 *
 * @typedef {{ name: string, message: string }} Complaint
 * @typedef {{ part: string, passed: number, failures: Complaint[], skipped: Complaint[] }} Part
 *
 * @typedef {{ name: string, command(file: string): string[], again(file: string, parts: string[]): string[],
 *   read(text: string): Part[], most: number, minutes: [number, number] }} Tests
 * `most`: more failed parts than these are no luck. `minutes`: how long the first and the second time may last at most,
 * within what CI has as a whole.
 */

/** When CI has to have ended: seconds since 1970. */
const END = Number(process.env['CI_END'] ?? Infinity);

/** @type {Record<string, Tests>} */
export const TESTS = {
  jest: {
    name: 'npm test',
    command: (file) => ['npm', 'test', '--', '--ci', '--json', `--outputFile=${file}`],
    again: (file, parts) => [
      ...['npm', 'test', '--', '--ci', '--runInBand', '--json', `--outputFile=${file}`],
      ...['--runTestsByPath', ...parts],
    ],
    read: partsOfJest,
    most: 8,
    minutes: [45, 15],
  },
  e2e: {
    name: 'npm run e2e',
    command: (file) => ['npm', 'run', '--silent', 'e2e', '--', '--drill', 'all', '--results', file],
    again: (file, parts) => [
      ...['npm', 'run', '--silent', 'e2e', '--', '--results', file],
      ...(parts.includes('path') ? [] : ['--only', 'drills']),
      ...parts.filter((part) => part !== 'path').flatMap((drill) => ['--drill', drill]),
    ],
    read: (text) => JSON.parse(text),
    // Where the deploy fails, no drill can be tried.
    most: Infinity,
    minutes: [40, 25],
  },
};

/**
 * @param {string} text what jest writes with --json
 * @returns {Part[]}
 */
function partsOfJest(text) {
  /** @type {{ testResults: { name: string, status: string, message: string,
   *   assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[] }} */
  const { testResults } = JSON.parse(text);
  return testResults.map(({ name, status, message, assertionResults }) => {
    const part = relative(process.cwd(), name);
    const failures = assertionResults
      .filter((test) => test.status === 'failed')
      .map(({ fullName, failureMessages }) => ({
        name: `${part} › ${fullName}`,
        message: failureMessages[0] ?? '',
      }));
    // A file that cannot be loaded, or whose process ended, has no tests.
    if (status === 'failed' && failures.length === 0) failures.push({ name: part, message });
    const passed = assertionResults.filter((test) => test.status === 'passed').length;
    const skipped = assertionResults
      .filter((test) => test.status !== 'passed' && test.status !== 'failed')
      .map(({ fullName }) => ({ name: `${part} › ${fullName}`, message: 'skipped' }));
    return { part, passed, failures, skipped };
  });
}

/**
 * @param {Tests} tests
 * @returns {Promise<{ parts: Part[], luck: string[] } | undefined>} undefined without a verdict
 */
export async function twice(tests) {
  const folder = mkdtempSync(join(tmpdir(), 'botstack-ci-'));
  try {
    const first = await verdict(tests.command(join(folder, 'first')), join(folder, 'first'), tests, 0);
    const failed = first?.filter((part) => !isGood(part)) ?? [];
    if (!first || failed.length === 0) return first && { parts: first, luck: [] };
    if (failed.length > tests.most) {
      console.log(`\n=== ${failed.length} of ${tests.name} failed: that many are not tried again`);
      return { parts: first, luck: [] };
    }

    console.log(`\n=== ${tests.name}: once more, alone: ${failed.map(({ part }) => part).join(', ')}`);
    const argv = tests.again(
      join(folder, 'second'),
      failed.map(({ part }) => part),
    );
    const second = await verdict(argv, join(folder, 'second'), tests, 1);
    // Without a second verdict the first one stands.
    return second ? merged(first, second) : { parts: first, luck: [] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Part} part */
function isGood({ failures, skipped }) {
  return failures.length + skipped.length === 0;
}

/**
 * @param {Part[]} first
 * @param {Part[]} second
 */
function merged(first, second) {
  /** @type {string[]} */
  const luck = [];
  const parts = first.map((before) => {
    const after = second.find(({ part }) => part === before.part);
    // What was not tried again has its first verdict, unless it failed now, as the end of a deployment may.
    if (!after || (isGood(before) && isGood(after))) return before;
    const still = new Set([...after.failures, ...after.skipped].map(({ name }) => name));
    for (const { name, message } of [...before.failures, ...before.skipped]) {
      if (!still.has(name))
        luck.push(`failed once, passed alone: ${name}\n${message.replace(/^/gm, '    ')}`);
    }
    return after;
  });
  return { parts, luck };
}

/**
 * @param {string[]} argv
 * @param {string} file
 * @param {Tests} tests
 * @param {0 | 1} time
 * @returns {Promise<Part[] | undefined>}
 */
async function verdict(argv, file, { name, read, minutes }, time) {
  const seconds = Math.max(1, Math.min(minutes[time] * 60, Math.floor(END - Date.now() / 1000)));
  const status = await run(['timeout', '--kill-after=60', String(seconds), ...argv]);
  if (!existsSync(file)) {
    console.log(
      `${name} ended without its results, exit ${status}${status === 124 ? ': it took too long' : ''}`,
    );
    return undefined;
  }
  const parts = read(readFileSync(file, 'utf8'));
  if (status !== 0 && parts.every(isGood)) {
    console.log(`${name} ended with exit ${status}, though no test failed`);
    return undefined;
  }
  return parts;
}

/**
 * @param {string[]} argv
 * @returns {Promise<number>}
 */
function run([program = '', ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    const pass = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal);
    process.on('SIGINT', pass).on('SIGTERM', pass);
    child.once('error', reject);
    child.once('close', (code) => {
      process.off('SIGINT', pass).off('SIGTERM', pass);
      resolve(code ?? 1);
    });
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const [which = '', file = ''] = process.argv.slice(2);
  const result = TESTS[which] && (await twice(TESTS[which]));
  if (result) {
    const { parts, luck } = result;
    const passed = parts.reduce((sum, part) => sum + part.passed, 0);
    const failures = parts.flatMap((part) => part.failures);
    const skipped = parts.flatMap((part) => part.skipped);
    const texts = [
      ...luck,
      ...failures.map(({ name }) => `failed: ${name}`),
      ...skipped.map(({ name }) => `skipped: ${name}`),
    ];
    writeFileSync(file, [`${passed} ${failures.length} ${skipped.length}`, ...texts, ''].join('\n'));
  } else {
    process.exitCode = 1;
  }
}
