/** llama-server as Debian's newest suite packages it, in a root of its own under the cache folder. */
import { copyFileSync, constants, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

import { freePort, startServer, type RunningServer } from './server-process.js';
import { CACHE, makeFolder, run } from './workspace.js';

export interface Settings {
  readonly modelPath: string;
  readonly threads: number;
  /** How many requests our service evaluates at once. */
  readonly sequences: number;
  /** Tokens of context for each sequence, and for each of llama-server's slots. */
  readonly contextSize: number;
  /** For the configuration file and the log; removed at the end of the run. */
  readonly folder: string;
}

const ROOT = join(CACHE, 'llama-server-rootfs');

/** Installs llama-server unless it is there; 20 seconds the first time. Returns its version. */
export async function installLlamaServer(log: (line: string) => void): Promise<string> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'llama-server runs in a chroot of its own, which needs root: run the bench as root, or in a container',
    );
  }
  if (!existsSync(ROOT)) {
    log("installing llama-server from Debian's newest suite (once, about 20 s)");
    makeFolder(CACHE);
    const partial = `${ROOT}.partial`;
    rmSync(partial, { recursive: true, force: true });
    await run('mmdebstrap', [
      '--variant=minbase',
      // The suite's index is signed for a week; a mirror that is older still serves what it lists.
      '--aptopt=Acquire::Check-Valid-Until "false"',
      '--include=llama.cpp,ca-certificates',
      'sid',
      partial,
    ]);
    renameSync(partial, ROOT);
  }
  const version = await run('chroot', [ROOT, 'sh', '-c', 'llama-server --version 2>&1']);
  return /^version: (.*)$/m.exec(version)?.[1] ?? 'unknown';
}

/** Everything not named here stays at llama-server's default. */
export async function startLlamaServer(
  settings: Omit<Settings, 'sequences'> & { readonly slots: number },
): Promise<RunningServer> {
  const port = await freePort();
  const options = {
    '--model': copyIntoRoot(settings.modelPath),
    '--threads': settings.threads,
    '--parallel': settings.slots,
    // llama-server divides its context among the slots.
    '--ctx-size': settings.contextSize * settings.slots,
    '--host': '127.0.0.1',
    '--port': port,
  };
  return startServer({
    name: 'llama-server',
    command: ['chroot', ROOT, 'llama-server', ...Object.entries(options).flat().map(String)],
    port,
    readyPath: '/health',
    logFile: join(settings.folder, 'llama-server.log'),
  });
}

/**
 * A copy of its own, not a link: pages of one file that both servers map would count half for each of them in the
 * comparison of memory.
 */
function copyIntoRoot(modelPath: string): string {
  const inside = `/models/${basename(modelPath)}`;
  const copy = join(ROOT, inside);
  makeFolder(join(ROOT, 'models'));
  const source = statSync(modelPath);
  const existing = statSync(copy, { throwIfNoEntry: false });
  if (existing?.size !== source.size || existing.mtimeMs < source.mtimeMs) {
    copyFileSync(modelPath, copy, constants.COPYFILE_FICLONE);
  }
  return inside;
}
