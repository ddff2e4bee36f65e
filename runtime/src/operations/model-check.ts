/** Whether a model file can be served here: whole, known to llama.cpp, small enough for the memory. */
import { firstThatFits, MEMORY_REMEDY } from '../engine/concessions.js';
import { inspectModel, type ModelInspection } from '../engine/inspect.js';
import { availableMemory, ENGINE_BYTES, mebibytes } from '../engine/memory.js';
import { checkNotLonger, readModelFile } from '../engine/model-file.js';
import { resolveModelSettings } from '../engine/options.js';
import type { BotConfig } from '../config/schema.js';
import { counted } from '../errors/counted.js';
import { runCommand } from './run-command.js';

/** Of the engine beside the model, and of the HTTP process. */
const SERVICE_BYTES = ENGINE_BYTES + 32 * 2 ** 20;

export interface ModelVerdict extends ModelInspection {
  /** What the model may take, and where the figure comes from; undefined where it cannot be found out. */
  readonly limit: { readonly bytes: number; readonly source: string } | undefined;
  /** Why it cannot be served, with the remedy. */
  readonly problem: string | undefined;
}

/**
 * @param residentBytes what the running service takes now: it is free once it has stopped
 * @throws ModelError when it is no GGUF model, UnusableModel when it is cut short, or far longer than its tensors
 */
export async function checkModel(
  path: string,
  engine: BotConfig['engine'],
  residentBytes: number,
): Promise<ModelVerdict> {
  // Only of a file that is new here: one that is served goes on to be, whatever follows its tensors.
  await checkNotLonger(path, await readModelFile(path));
  const { context_size: contextSize, sequences, kv_cache_type: kvCacheType, repack } = engine;
  const limit = await memoryLimit(residentBytes);
  const wanted = resolveModelSettings({ modelPath: path, contextSize, sequences, kvCacheType, repack });
  const { wanted: most, found } = await firstThatFits(
    wanted,
    (settings) => inspectModel(path, settings),
    ({ totalBytes }) => limit === undefined || totalBytes + SERVICE_BYTES <= limit.bytes,
  );
  if (found !== undefined) return { ...found.need, limit, problem: undefined };
  const problem =
    `the model needs ${mebibytes(most.totalBytes + SERVICE_BYTES)} of memory with ${counted(most.sequences, 'sequence')} of ` +
    `${most.contextSize} tokens, the service may have ${mebibytes(limit?.bytes ?? 0)} (${limit?.source ?? 'unknown'}); ` +
    MEMORY_REMEDY;
  return { ...most, limit, problem };
}

async function memoryLimit(residentBytes: number): Promise<ModelVerdict['limit']> {
  const free = await availableMemory();
  const limits = [
    ...(free === undefined
      ? []
      : [{ bytes: free.bytes + residentBytes, source: `${free.source}, and its own` }]),
    ...(await unitLimit()),
  ];
  return limits.sort((a, b) => a.bytes - b.bytes)[0];
}

async function unitLimit(): Promise<readonly { bytes: number; source: string }[]> {
  const { status, output } = await runCommand([
    'systemctl',
    'show',
    'bot.service',
    '-p',
    'MemoryMax',
    '--value',
  ]);
  const bytes = Number(output.trim());
  return status === 0 && bytes > 0 && Number.isFinite(bytes)
    ? [{ bytes, source: 'MemoryMax of bot.service' }]
    : [];
}
