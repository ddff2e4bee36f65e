// @ts-check
/**
 * The machine's own pip fetches the compiler, so that its index, proxy and certificate settings hold. Nothing of the
 * package is installed or run by pip: a Python that is managed by its distribution lets itself be used for that, too.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { interruption, throwIfInterrupted } from '../interrupt.mjs';
import { run } from '../run.mjs';
import { note } from '../say.mjs';
import { NoCompiler } from './no-compiler.mjs';

/** @typedef {import('./pin.mjs').Pin} Pin */

const INTERPRETERS = process.platform === 'win32' ? ['python', 'py', 'python3'] : ['python3', 'python'];

/** Waits before the second and the third attempt, in milliseconds. */
const RETRY_WAITS = [2_000, 6_000];

const NETWORK_FAILURE =
  /NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|IncompleteRead|ProtocolError|Connection(Reset|Error|Refused)|Connection broken|Network is unreachable|HTTP error 5\d\d|5\d\d (Server )?Error/i;

/**
 * @param {Pin} pin
 * @param {string} folder of the caller's own; what pip downloads and leaves lies in it
 * @param {{ attempts: number }} options
 * @returns {Promise<{ wheel: string, python: string }>} the wheel, with the pinned hash, and who fetched it
 * @throws NoCompiler, Interrupted
 */
export async function downloadWheel(pin, folder, { attempts }) {
  const wheels = join(folder, 'wheels');
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const requirements = join(folder, 'requirements.txt');
  writeFileSync(requirements, `${pin.package}==${pin.version} --hash=sha256:${pin.sha256}\n`);
  const args = [
    ...['-m', 'pip', 'download', '--requirement', requirements, '--require-hashes', '--dest', wheels],
    // A wheel and nothing else: building a source package would run its code. The platform is Node's: a Python for
    // another processor runs here, too.
    ...['--no-deps', '--only-binary', ':all:', '--platform', pin.platform],
    // 98 MB that are kept unpacked.
    ...['--no-cache-dir', '--no-input', '--disable-pip-version-check', '--progress-bar', 'off'],
    ...['--retries', '2', '--timeout', '20'],
  ];
  for (let attempt = 1; ; attempt++) {
    const { code, output, python } = await runPython(args, temporary, pin);
    if (code === 0) return { wheel: onlyWheelIn(wheels, output, pin), python };
    const error = pipError(output, pin);
    if (error.why !== 'network' || attempt >= attempts) throw error;
    const wait = RETRY_WAITS[Math.min(attempt, RETRY_WAITS.length) - 1] ?? 0;
    note(`the package index did not answer, attempt ${attempt + 1} of ${attempts} in ${wait / 1000} s`);
    await sleep(wait, undefined, { signal: interruption }).catch(() => undefined);
    throwIfInterrupted();
  }
}

/**
 * @param {readonly string[]} args
 * @param {string} temporary where pip downloads to: what an interruption leaves goes away with it
 * @param {Pin} pin
 */
async function runPython(args, temporary, pin) {
  const env = { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  for (const python of INTERPRETERS) {
    const result = await run(python, args, { env });
    if (result.code !== 127) return { ...result, python };
  }
  throw new NoCompiler(
    'machine',
    `${compilerOf(pin)} comes as a Python package, and this machine has no python3`,
    'install Python with pip (Debian, Ubuntu: apt install python3-pip)',
  );
}

/**
 * @param {string} wheels
 * @param {string} output
 * @param {Pin} pin
 */
function onlyWheelIn(wheels, output, pin) {
  const name = readdirSync(wheels).find((file) => file.endsWith('.whl'));
  if (name === undefined) throw pipError(output, pin);
  return join(wheels, name);
}

/**
 * @param {string} output
 * @param {Pin} pin
 */
function pipError(output, pin) {
  const wheel = `${pin.package} ${pin.version} for ${pin.platform}`;
  const said = output.split('\n').filter((line) => /^(ERROR|WARNING):/.test(line));
  if (/No module named pip\b/.test(output)) {
    return new NoCompiler(
      'machine',
      `${compilerOf(pin)} comes as a Python package, and python3 has no pip`,
      'install it (Debian, Ubuntu: apt install python3-pip; else: python3 -m ensurepip)',
    );
  }
  if (/DO NOT MATCH THE HASHES/.test(output)) {
    const got = /Got\s+([0-9a-f]{64})/.exec(output)?.[1] ?? 'another';
    return new NoCompiler(
      'download',
      `${wheel} from the package index is not the wheel that was pinned: expected SHA-256 ${pin.sha256}, got ${got}`,
      'see that it is an index that you trust (pip config list) and the download is not cut off',
    );
  }
  if (/SSLError|CERTIFICATE_VERIFY_FAILED/.test(output)) {
    return new NoCompiler(
      'network',
      `${compilerOf(pin)} is not here yet, and pip does not trust the certificate of its package index (${networkCause(output)})`,
      'if your network inspects TLS, name its certificate authority: pip config set global.cert FILE',
    );
  }
  // Without a network pip complains of a missing version in the end: the warnings before tell the two apart.
  if (NETWORK_FAILURE.test(output)) {
    return new NoCompiler(
      'network',
      `${compilerOf(pin)} is not here yet, and pip could not reach its package index (${networkCause(output)})`,
      'check the network and pip config list (index-url, proxy)',
    );
  }
  if (/No matching distribution|Could not find a version/.test(output)) {
    return new NoCompiler(
      'download',
      `pip finds no wheel ${wheel}`,
      'see that your package index mirrors it (pip config list)',
    );
  }
  if (/No space left/.test(output)) {
    return new NoCompiler(
      'download',
      'the disk filled up while pip was downloading the compiler',
      'free some 400 MB',
    );
  }
  return new NoCompiler(
    'download',
    `pip failed to download ${wheel}: ${said.slice(-3).join(' ') || output.trim().slice(-300)}`,
    'see why (python3 -m pip download)',
  );
}

/** @param {Pin} pin */
const compilerOf = (pin) => `the compiler of the kernels (Zig ${pin.version})`;

/**
 * The system's own words, out of the Python objects that pip prints around them.
 *
 * @param {string} output
 */
function networkCause(output) {
  const cause =
    /certificate verify failed: ([^'"(\n]+)/.exec(output) ??
    /(Tunnel connection failed: [^'"()\n]+)/.exec(output) ??
    /\[Errno -?\d+\] ([^'"()\n]+)/.exec(output) ??
    /(5\d\d (?:Server )?Error[^'"()\n]*)/i.exec(output) ??
    /(timed out)/.exec(output);
  return cause?.[1]?.trim() ?? 'the connection broke';
}
