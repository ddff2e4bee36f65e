/**
 * A backup: settings, state and logs in one dated tar.gz that only root can read, with a manifest of every file's
 * SHA-256. Releases and models are not in it: the deployment brings them, and they are checked by hashes of their own.
 */
import { constants } from 'node:fs';
import {
  access,
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { basename, join, relative } from 'node:path';

import { z } from 'zod';

import { sha256Of } from '../models/cache.js';
import { replaceLinks } from './backed-up-links.js';
import type { Layout } from './layout.js';
import { lastLine, mustRun, runCommand } from './run-command.js';
import { withStaging } from './staging.js';

const MANIFEST = 'manifest.json';
const SETTINGS = 'etc/bot';
/** What a backup holds, as named in it. */
export const BACKED_UP = [SETTINGS, 'var/lib/bot', 'var/log/bot'] as const;

const manifestSchema = z.strictObject({
  schema: z.literal(1),
  /** The version of bot that wrote it. */
  version: z.string(),
  createdAt: z.string(),
  files: z.array(
    z.strictObject({ path: z.string(), bytes: z.number(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});

export type Manifest = z.output<typeof manifestSchema>;

export interface Backup {
  readonly path: string;
  readonly sha256: string;
  readonly files: number;
  readonly bytes: number;
}

export interface BackupOptions {
  readonly layout: Layout;
  readonly version: string;
  /** Where it goes. @default /var/backups/bot */
  readonly directory?: string | undefined;
  /** How many backups stay in that folder, this one included; older ones are removed. @default all */
  readonly keep?: number | undefined;
  /** Ends it; nothing is left of it then. */
  readonly signal?: AbortSignal | undefined;
  /** Gets one line for what is not in it. */
  readonly warn?: ((line: string) => void) | undefined;
}

/** The service goes on meanwhile: files are copied first, so that a log that grows does not spoil the archive. */
export async function backUp(options: BackupOptions): Promise<Backup> {
  const folder = options.directory ?? options.layout.backups;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return withStaging(folder, (staging) => backUpBy(staging, folder, options));
}

async function backUpBy(
  staging: string,
  folder: string,
  { layout, version, keep, signal, warn = () => undefined }: BackupOptions,
): Promise<Backup> {
  const content = join(staging, 'content');
  await copyTrees(layout, content, signal);
  if (await isThere(join(content, SETTINGS)))
    await replaceLinks(join(layout.root, SETTINGS), join(content, SETTINGS), { warn, signal });
  const files = await describe(content, signal);
  const createdAt = new Date();
  const manifest: Manifest = { schema: 1, version, createdAt: createdAt.toISOString(), files };
  await writeFile(join(content, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });

  const archive = join(staging, 'backup.tar.gz');
  const parts = (await readdir(content)).filter((name) => name !== MANIFEST);
  await mustRun(
    ['tar', '-C', content, '--numeric-owner', '-czf', archive, MANIFEST, ...parts],
    'the backup',
    { signal },
  );
  await chmod(archive, 0o600);
  await syncFile(archive);
  const sha256 = await sha256Of(archive, signal);
  const path = await freeName(folder, createdAt);
  signal?.throwIfAborted();
  await rename(archive, path);
  await syncFile(folder);
  if (keep !== undefined) await removeOldest(folder, keep);
  return { path, sha256, files: files.length, bytes: (await lstat(path)).size };
}

/**
 * Unpacks a backup into `into`, which is private, and holds every file against the manifest.
 *
 * @throws Error that names what is wrong; nothing else was touched then
 */
export async function unpackVerified(file: string, into: string): Promise<Manifest> {
  await checkFile(file);
  await unpack(file, into);
  const manifest = await readManifest(file, join(into, MANIFEST));
  await rm(join(into, MANIFEST));
  const found = new Map((await describe(into)).map((entry) => [entry.path, entry]));
  const problems: string[] = [];
  for (const { path, bytes, sha256 } of manifest.files) {
    const actual = found.get(path);
    if (actual === undefined) problems.push(`${path} is missing`);
    else if (actual.bytes !== bytes || actual.sha256 !== sha256)
      problems.push(`${path} is not what was backed up`);
    if (!BACKED_UP.some((tree) => path.startsWith(`${tree}/`)))
      problems.push(`${path} does not belong in a backup`);
    found.delete(path);
  }
  for (const path of found.keys()) problems.push(`${path} is not in the manifest`);
  if (problems.length === 0) return manifest;
  throw damaged(file, problems.slice(0, 3).join('; '));
}

const ANOTHER =
  'name one that `bot backup` has written: they are in /var/backups/bot unless it was told another folder';

async function checkFile(file: string): Promise<void> {
  const status = await stat(file).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' || error.code === 'ENOTDIR'
      ? new Error(`there is no file ${file}; ${ANOTHER}`)
      : unreadable(file, error);
  });
  if (!status.isFile()) throw new Error(`${file} is not a file; ${ANOTHER}`);
  // To tar it is an archive without files.
  if (status.size === 0) throw damaged(file, 'it is empty');
  await access(file, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error);
  });
}

function unreadable(file: string, { code }: NodeJS.ErrnoException): Error {
  return new Error(
    `${file} cannot be read (${code}); ${code === 'EACCES' ? 'run this with sudo' : 'check the disk'}`,
  );
}

/** The machine's doing, not the file's. */
const NOT_DAMAGE =
  /Read-only file system|Disk quota exceeded|Input\/output error|Permission denied|Too many open files/;

async function unpack(file: string, into: string): Promise<void> {
  const { status, output } = await runCommand(
    ['tar', '-C', into, '--force-local', '--numeric-owner', '-xpzf', file],
    {
      environment: { ...process.env, LC_ALL: 'C' },
    },
  );
  if (status === 0) return;
  if (output.includes('No space left on device'))
    throw new Error(`no room to unpack ${file} into ${into}; make room there, then try again`);
  if (status === undefined || NOT_DAMAGE.test(output))
    throw new Error(`unpacking ${file} failed: ${lastLine(output) || 'it took too long'}`);
  // The first complaint is the cause, and what follows its consequences.
  const [first = ''] = output.trimStart().split('\n');
  throw damaged(file, first.replace(/^(gzip: (stdin: )?|tar: )/, '') || `tar ended with ${status}`);
}

function damaged(file: string, why: string): Error {
  return new Error(
    `${file} is damaged (${why}), nothing was changed; copy it again and compare its SHA-256, or take another backup`,
  );
}

async function readManifest(file: string, path: string): Promise<Manifest> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    throw new Error(`${file} holds no manifest that this version reads: it is no backup of bot; ${ANOTHER}`);
  }
}

async function copyTrees(layout: Layout, content: string, signal: AbortSignal | undefined): Promise<void> {
  for (const tree of BACKED_UP) {
    const from = join(layout.root, tree);
    if (!(await isThere(from))) continue;
    const to = join(content, tree);
    await mkdir(join(to, '..'), { recursive: true, mode: 0o700 });
    // cp keeps owners and modes, which Node's own copy does not.
    await mustRun(['cp', '-a', '--', from, to], `copying ${from}`, { signal });
  }
  if (!(await isThere(content))) throw new Error(`there is nothing to back up below ${layout.root}`);
}

/** Every file below a folder. @throws Error for what is neither file nor folder */
async function describe(folder: string, signal?: AbortSignal): Promise<Manifest['files']> {
  const files: Manifest['files'] = [];
  const visit = async (at: string): Promise<void> => {
    for (const name of (await readdir(at)).sort()) {
      const path = join(at, name);
      const status = await lstat(path);
      if (status.isDirectory()) await visit(path);
      else if (status.isFile()) {
        files.push({
          path: relative(folder, path),
          bytes: status.size,
          sha256: await sha256Of(path, signal),
        });
      } else
        throw new Error(
          `${relative(folder, path)} is neither a file nor a folder; remove it, or move it elsewhere`,
        );
    }
  };
  await visit(folder);
  return files;
}

async function freeName(folder: string, time: Date): Promise<string> {
  const stamp = time.toISOString().slice(0, 19).replace(/[-:]/g, '');
  for (let count = 1; ; count++) {
    const path = join(folder, `bot-backup-${stamp}Z${count === 1 ? '' : `-${count}`}.tar.gz`);
    if (!(await isThere(path))) return path;
  }
}

async function removeOldest(folder: string, keep: number): Promise<void> {
  const backups = (await readdir(folder)).filter((name) =>
    /^bot-backup-\d{8}T\d{6}Z(-\d+)?\.tar\.gz$/.test(name),
  );
  for (const name of backups.sort().slice(0, -keep)) await rm(join(folder, basename(name)));
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
