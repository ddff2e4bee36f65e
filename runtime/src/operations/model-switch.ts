/**
 * Another model: checked, put among the models, named in the configuration, proved by an answer. Where it does not
 * answer, the configuration and with it the old model come back. Both never run at once: on the machines that this is
 * for, the memory holds one.
 */
import { copyFile, lstat, mkdir, open, readFile, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { mebibytes } from '../engine/memory.js';
import { writeAtomically } from '../files/atomic-write.js';
import { sha256Of } from '../models/cache.js';
import { checkGgufFile } from '../models/gguf-file.js';
import { megabytes } from '../models/progress.js';
import { isThere } from './backup.js';
import { editConfig } from './config-edit.js';
import { exclusively, installedConfig, type Installation } from './installation.js';
import { proveAnswer } from './service-client.js';
import { findService } from './service-process.js';

/** Stays free on the disk, in bytes. */
const RESERVE = 256 * 1024 * 1024;

export interface ModelSwitchOptions {
  readonly path: string;
  /** Of the file, 64 hexadecimal digits; another file is refused. */
  readonly sha256?: string | undefined;
  /** The name clients use. Default: the one that is configured, else the file's. */
  readonly name?: string | undefined;
}

/** @throws Error with the cause; the old model runs and answers then, or the message says that it does not */
export function switchModel(installation: Installation, options: ModelSwitchOptions): Promise<void> {
  return exclusively(installation, async () => {
    const { configFile, say } = installation;
    const config = installedConfig(installation);
    if (config.remote_service !== undefined) {
      throw new Error(
        'the configuration uses a remote service, not a model file: remove `remote_service` first',
      );
    }
    await checkFile(installation, options);
    const path = await amongModels(installation, options.path);
    if (path === config.model_path && options.name === undefined) {
      say(`${path} is the configured model already`);
      return;
    }
    const before = await readFile(configFile, 'utf8');
    const name = options.name ?? config.model_name;
    if (options.name === undefined && config.model_name !== undefined) {
      say(`clients go on to call it ${config.model_name} (model_name); --name changes that`);
    }
    await writeSame(
      configFile,
      editConfig(before, { model_path: path, ...(options.name === undefined ? {} : { model_name: name }) }),
    );
    const model = name ?? basename(path).replace(/\.gguf$/i, '');
    await restartAndProve(installation, before, { path, model, old: config.model_path ?? '' });
  });
}

async function checkFile(installation: Installation, { path, sha256 }: ModelSwitchOptions): Promise<void> {
  await checkGgufFile(path);
  const actual = await sha256Of(path);
  if (sha256 !== undefined && actual !== sha256.toLowerCase()) {
    throw new Error(
      `${path} is not what it should be: expected SHA-256 ${sha256}, got ${actual}; fetch it again`,
    );
  }
  const config = installedConfig(installation);
  // Loads llama.cpp, which the commands that need no model do without.
  const { checkModel } = await import('./model-check.js');
  const resident = findService(installation.configFile)?.residentBytes ?? 0;
  const found = await checkModel(path, config.engine, resident);
  if (found.problem !== undefined) throw new Error(found.problem);
  installation.say(
    `checked: ${found.architecture} ${found.quantisation}, ${megabytes(found.fileBytes)}, needs ` +
      `${mebibytes(found.totalBytes)} of memory, SHA-256 ${actual}`,
  );
}

/** The service sees neither /home nor /tmp, and a model must not vanish under it: it is copied to the others. */
async function amongModels({ layout, say }: Installation, file: string): Promise<string> {
  const source = await realpath(file);
  await mkdir(layout.models, { recursive: true });
  const target = join(await realpath(layout.models), basename(source));
  if (source === target) return join(layout.models, basename(source));
  if (await isThere(target)) {
    if ((await sha256Of(target)) === (await sha256Of(source))) return join(layout.models, basename(source));
    throw new Error(
      `${target} is another model of the same name; rename ${file}, or remove that one if nobody uses it`,
    );
  }
  const { bavail, bsize } = await statfs(layout.models);
  const { size } = await stat(source);
  if (bavail * bsize < size + RESERVE) {
    throw new Error(
      `${layout.models} has ${megabytes(bavail * bsize)} free, ${megabytes(size + RESERVE)} are needed; remove a model`,
    );
  }
  say(`copying to ${target}`);
  const partial = `${target}.partial`;
  try {
    await copyFile(source, partial);
    const copy = await open(partial, 'r+');
    await copy.chmod(0o644);
    await copy.sync();
    await copy.close();
    if ((await sha256Of(partial)) !== (await sha256Of(source)))
      throw new Error(`${file} changed while it was copied`);
    await rename(partial, target);
  } finally {
    await rm(partial, { force: true });
  }
  return join(layout.models, basename(source));
}

interface Change {
  readonly path: string;
  readonly model: string;
  readonly old: string;
}

async function restartAndProve(
  installation: Installation,
  before: string,
  { path, model, old }: Change,
): Promise<void> {
  const { manager, say, configFile } = installation;
  say(`switched from ${old} to ${path}; the service finishes running answers and restarts`);
  try {
    await manager.restart();
    say(await proveAnswer(installation, { model }));
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    say(`${path} does not work: ${cause}`);
    await writeSame(configFile, before);
    try {
      await manager.restart();
      say(`back: ${await proveAnswer(installation, {})}`);
    } catch (second) {
      throw new Error(`${old} is configured again, but does not answer: ${(second as Error).message}`, {
        cause: second,
      });
    }
    throw new Error(`not switched, ${old} is back and answers: ${cause}`, { cause: error });
  }
}

/** Replaces the configuration as a whole, with the mode it had. */
async function writeSame(file: string, text: string): Promise<void> {
  const target = join(await realpath(dirname(file)), basename(file));
  await writeAtomically(target, text, (await lstat(target)).mode & 0o777);
}
