/**
 * Another model: checked, put among the models, and switched to by the running service, which loads it, has it answer,
 * and goes on with the old one where it does not. Only then the configuration names it. Where no service runs that can
 * switch, it is configured first and the service restarted; where it does not answer then, the old one comes back.
 */
import { readFile, realpath, stat } from 'node:fs/promises';

import { modelsOf, type ModelConfig } from '../config/models.js';
import { modelIdOf, type BotConfig } from '../config/schema.js';
import { mebibytes } from '../engine/memory.js';
import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import { sha256Of } from '../models/cache.js';
import { checkGgufFile } from '../models/gguf-file.js';
import { partsOf } from '../models/gguf-parts.js';
import { megabytes } from '../models/progress.js';
import { editConfig, type ConfigEdit } from './config-edit.js';
import { exclusivelyOnceCommitted, installedConfig, type Installation } from './installation.js';
import { amongModels, removeFiles } from './model-copy.js';
import { proveAnswer } from './service-client.js';
import { shellWord } from './shell-word.js';
import { findService } from './service-process.js';
import { orderSwitch, SwitchRefused } from './switch-order.js';

export interface ModelSwitchOptions {
  readonly path: string;
  /** Of the file, 64 hexadecimal digits; another file is refused. */
  readonly sha256?: string | undefined;
  /** The name clients use. Default: the one that is configured, else the file's. */
  readonly name?: string | undefined;
  /** The model whose place it takes. Default: the default one. */
  readonly replaces?: string | undefined;
}

/** @throws Error with the cause; the old model runs and answers then, or the message says that it does not */
export function switchModel(installation: Installation, options: ModelSwitchOptions): Promise<void> {
  return exclusivelyOnceCommitted(installation, async ({ signal, commit }) => {
    const { configFile, say, warn } = installation;
    const replaced = replacedModel(installedConfig(installation), options.replaces);
    await checkFile(installation, replaced, options, signal);
    const { path, copies } = await amongModels(installation, options.path, signal);
    commit();
    if (path === replaced.path && options.name === undefined) {
      say(`${path} is the configured model already`);
      return;
    }
    if (options.name === undefined) {
      const id = modelIdOf({ model_name: replaced.name, model_path: path });
      if (replaced.name !== undefined)
        say(`clients go on to call it ${id} (model_name); --name changes that`);
      else if (id !== replaced.id) {
        warn(
          `clients have to call it ${id}: those that ask for ${replaced.id} get 404 once it is switched; ` +
            `--name ${shellWord(replaced.id)} keeps the name`,
        );
      }
    }
    const before = await readFile(configFile, 'utf8');
    const after = await editConfig(before, editOf(replaced, { path, name: options.name }));
    const order = { path, name: options.name, replaces: options.replaces };
    const model = await orderSwitch(installation, order).catch(async (error: Error) => {
      // It would stand in the way of a good file of the same name.
      if (error instanceof SwitchRefused) await removeFiles(copies);
      throw new Error(`not switched, ${replaced.id} answers as before: ${error.message}`, { cause: error });
    });
    if (model === undefined) {
      installation.manager.check();
      await writeSame(configFile, after);
      await restartAndProve(installation, before, path, replaced);
      return;
    }
    await writeSame(configFile, after);
    if (model !== replaced.id) say(`clients call it ${model} now; ${replaced.id} is not found any more`);
    // The default one is asked by name; of others it is enough that the service has proved them.
    say(await proveAnswer(installation, replaced.key === '' ? { model } : {}));
  });
}

/** @throws Error where it cannot be replaced by a file */
function replacedModel(config: BotConfig, name: string | undefined): ModelConfig {
  const models = modelsOf(config);
  const found = name === undefined ? models[0] : models.find(({ id }) => id === name);
  if (found === undefined) {
    throw new Error(
      `no model is called ${name}; the configuration has ${models.map(({ id }) => id).join(', ')}`,
    );
  }
  if (found.path === undefined) {
    throw new Error(
      `${found.id} is a remote service, not a model file: change \`${found.key}remote_service\` first`,
    );
  }
  return found;
}

/** Of the default model the keys at the top, of another its own in the list. */
function editOf(
  { key }: ModelConfig,
  { path, name }: { readonly path: string; readonly name: string | undefined },
): ConfigEdit {
  const index = /^models\[(\d+)\]\.$/.exec(key)?.[1];
  return {
    within: index === undefined ? [] : ['models', Number(index)],
    set: { model_path: path, ...(name === undefined ? {} : { model_name: name }) },
  };
}

async function checkFile(
  installation: Installation,
  { engine }: ModelConfig,
  { path, sha256 }: ModelSwitchOptions,
  signal: AbortSignal,
): Promise<void> {
  await checkGgufFile(path);
  const parts = partsOf(path);
  if (sha256 !== undefined && parts.length > 1) {
    throw new Error(
      `--sha256 is of one file, and ${path} is in ${parts.length}: leave it out, and check each with sha256sum`,
    );
  }
  // Before the SHA-256, which takes minutes where this takes a second. Loads llama.cpp, which the commands that need no
  // model do without.
  const { checkModel } = await import('./model-check.js');
  const resident = findService(installation.configFile)?.residentBytes ?? 0;
  const found = await checkModel(path, engine, resident);
  if (found.problem !== undefined) throw new Error(found.problem);
  const actual = await sha256Of(path, signal);
  if (sha256 !== undefined && actual !== sha256.toLowerCase()) {
    throw new Error(
      `${path} is not what it should be: expected SHA-256 ${sha256}, got ${actual}; fetch it again`,
    );
  }
  installation.say(
    `checked: ${found.architecture} ${found.quantisation}, ${megabytes(found.fileBytes)}, needs ` +
      `${mebibytes(found.totalBytes)} of memory, ` +
      (parts.length === 1 ? `SHA-256 ${actual}` : `in ${parts.length} parts`),
  );
}

async function restartAndProve(
  installation: Installation,
  before: string,
  path: string,
  replaced: ModelConfig,
): Promise<void> {
  const { manager, say, configFile } = installation;
  const old = replaced.path ?? replaced.id;
  const [first] = modelsOf(installedConfig(installation));
  say(`switched from ${old} to ${path}; the service finishes running answers and restarts`);
  try {
    await manager.restart();
    say(await proveAnswer(installation, { model: first?.id }));
  } catch (error) {
    const cause = messageOf(error);
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

/** Replaces the configuration as a whole; it stays whose it was, with the mode it had, where a link points to. */
async function writeSame(file: string, text: string): Promise<void> {
  const target = await realpath(file);
  const { mode, uid, gid } = await stat(target);
  await writeAtomically(target, text, mode & 0o777, { uid, gid });
}
