/** Downloads one file, going on where an earlier attempt stopped. */
import { createWriteStream } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

import { checkSpace } from './disk-space.js';
import { ModelError, systemCode } from './errors.js';
import {
  connectionError,
  DEFAULT_RETRIES,
  request,
  RetryableError,
  type RetryPolicy,
  withRetries,
} from './http.js';
import type { Progress } from './progress.js';

export interface DownloadOptions {
  readonly url: URL;
  /** Where the bytes are collected. Stays when the download is interrupted, with its validator beside it. */
  readonly partFile: string;
  readonly label: string;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  readonly token?: string;
  readonly retries?: RetryPolicy;
  /** Milliseconds without a byte after which the connection counts as dead. @default 30000 */
  readonly stallTimeout?: number;
}

const STALL_TIMEOUT = 30_000;

/** @throws ModelError NO_NETWORK, NOT_FOUND, ACCESS_DENIED, HTTP_STATUS, NO_SPACE, ABORTED */
export async function download(options: DownloadOptions): Promise<void> {
  let sizeBefore = await sizeOf(options.partFile);
  let sizeNow = sizeBefore;
  options.progress.start(options.label, undefined);
  try {
    await withRetries(
      async () => {
        sizeBefore = sizeNow;
        try {
          await attempt(options);
        } finally {
          sizeNow = await sizeOf(options.partFile);
        }
      },
      options.retries ?? DEFAULT_RETRIES,
      {
        signal: options.signal,
        progressed: () => sizeNow > sizeBefore,
        note: (text) => {
          options.progress.note(text);
          options.progress.start(options.label, undefined);
        },
      },
    );
    await rm(validatorFile(options.partFile), { force: true });
  } finally {
    options.progress.stop();
  }
}

async function attempt(options: DownloadOptions): Promise<void> {
  const { url, partFile, token } = options;
  const validator = await readValidator(partFile);
  const offset = validator === undefined ? 0 : await sizeOf(partFile);
  const stall = stallGuard(options.stallTimeout ?? STALL_TIMEOUT, options.signal);
  try {
    const resume: Record<string, string> =
      validator !== undefined && offset > 0 ? { range: `bytes=${offset}-`, 'if-range': validator } : {};
    const response = await request('GET', url, resume, { signal: stall.signal, token });
    if (response.status === 416) return await finishOrRestart(response, partFile, offset);
    const from = response.status === 206 ? offset : 0;
    await checkRange(response, partFile, from);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const total = Number.isFinite(length) ? from + length : undefined;
    await checkSpace(dirname(partFile), length || 0);
    // In this order: an old part must never stand beside a new validator.
    if (from === 0) await discardPart(partFile);
    await writeValidator(partFile, response);
    await receive(response, from, total, options, stall);
    if (total !== undefined && (await sizeOf(partFile)) !== total) {
      throw new RetryableError(`${url.host} closed the connection early`);
    }
  } catch (error) {
    if (systemCode(error) === 'ENOSPC') {
      throw new ModelError(
        'NO_SPACE',
        `the disk of ${dirname(partFile)} is full`,
        'free some room, then run it again',
      );
    }
    if (stall.stalled) throw new RetryableError(`${url.host} sent nothing for ${stall.seconds} s`);
    throw connectionError(error, url);
  } finally {
    stall.stop();
  }
}

async function receive(
  response: Response,
  from: number,
  total: number | undefined,
  { partFile, progress }: DownloadOptions,
  stall: StallGuard,
): Promise<void> {
  let done = from;
  progress.update(done, total);
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      done += chunk.length;
      stall.beat();
      progress.update(done, total);
      next(null, chunk);
    },
  });
  if (!response.body) throw new RetryableError('the answer has no body');
  // The DOM's and Node's types of the same stream differ.
  const body = Readable.fromWeb(response.body as unknown as ReadableStream);
  await pipeline(body, meter, createWriteStream(partFile, { flags: from > 0 ? 'a' : 'w' }), {
    signal: stall.signal,
  });
}

/** 416: the part is already whole, or belongs to another file. */
async function finishOrRestart(response: Response, partFile: string, offset: number): Promise<void> {
  await response.body?.cancel();
  const total = /^bytes \*\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (total !== undefined && Number(total) === offset) return;
  await discardPart(partFile);
  throw new RetryableError('the part that was here does not fit the file');
}

async function checkRange(response: Response, partFile: string, from: number): Promise<void> {
  if (response.status !== 206) return;
  const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (start !== undefined && Number(start) === from) return;
  await response.body?.cancel();
  await discardPart(partFile);
  throw new RetryableError('the server sent another range than the one asked for');
}

/** Removes what an interrupted download left. */
export async function discardPart(partFile: string): Promise<void> {
  await rm(partFile, { force: true });
  await rm(validatorFile(partFile), { force: true });
}

const validatorFile = (partFile: string) => `${partFile}.validator`;

/** What tells this version of the file from another: a part without one is never continued. */
async function readValidator(partFile: string): Promise<string | undefined> {
  try {
    return (await readFile(validatorFile(partFile), 'utf8')).trim() || undefined;
  } catch {
    return undefined;
  }
}

async function writeValidator(partFile: string, response: Response): Promise<void> {
  const etag = response.headers.get('etag');
  // If-Range takes no weak tag (RFC 9110, 13.1.5).
  const validator = etag !== null && !etag.startsWith('W/') ? etag : response.headers.get('last-modified');
  if (validator === null) await rm(validatorFile(partFile), { force: true });
  else await writeFile(validatorFile(partFile), `${validator}\n`);
}

interface StallGuard {
  readonly signal: AbortSignal;
  readonly stalled: boolean;
  readonly seconds: number;
  beat(): void;
  stop(): void;
}

/** Aborts when nothing came for `timeout` milliseconds, or when the outer signal does. */
function stallGuard(timeout: number, outer?: AbortSignal): StallGuard {
  const controller = new AbortController();
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    controller.abort();
  }, timeout);
  return {
    signal: outer ? AbortSignal.any([outer, controller.signal]) : controller.signal,
    get stalled() {
      return stalled;
    },
    seconds: timeout / 1000,
    beat: () => timer.refresh(),
    stop: () => clearTimeout(timer),
  };
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}
