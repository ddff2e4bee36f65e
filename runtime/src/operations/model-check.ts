/** Whether a model file can be served here: whole, known to llama.cpp, small enough for the memory. */
import { concessions } from '../engine/concessions.js';
import { inspectModel, type ModelInspection } from '../engine/inspect.js';
import { availableMemory, mebibytes } from '../engine/memory.js';
import { resolveModelSettings } from '../engine/options.js';
import type { BotConfig } from '../config/schema.js';
import { runCommand } from './run-command.js';

/** Of the HTTP process and the engine's own, beside the model. */
const SERVICE_BYTES = 130 * 1024 * 1024;

export interface ModelVerdict extends ModelInspection {
  /** What the model may take, and where the figure comes from; undefined where it cannot be found out. */
  readonly limit: { readonly bytes: number; readonly source: string } | undefined;
  /** Why it cannot be served, with the remedy. */
  readonly problem: string | undefined;
}

/**
 * @param residentBytes what the running service takes now: it is free once it has stopped
 * @throws ModelError when it is no whole GGUF model
 */
export async function checkModel(
  path: string,
  engine: BotConfig['engine'],
  residentBytes: number,
): Promise<ModelVerdict> {
  const { context_size: contextSize, sequences, kv_cache_type: kvCacheType } = engine;
  const limit = await memoryLimit(residentBytes);
  const wanted = resolveModelSettings({ modelPath: path, contextSize, sequences, kvCacheType });
  let first: ModelInspection | undefined;
  for (const settings of concessions(wanted)) {
    const found = await inspectModel(path, settings);
    first ??= found;
    const fits = limit === undefined || found.totalBytes + SERVICE_BYTES <= limit.bytes;
    if (fits) return { ...found, limit, problem: undefined };
  }
  const found = first as ModelInspection;
  const problem =
    `the model needs ${mebibytes(found.totalBytes + SERVICE_BYTES)} of memory with ${found.sequences} sequences of ` +
    `${found.contextSize} tokens, the service may have ${mebibytes(limit?.bytes ?? 0)} (${limit?.source ?? 'unknown'}); ` +
    'lower engine.context_size or engine.sequences, set engine.kv_cache_type to q8_0, or take a smaller model or a ' +
    'larger machine';
  return { ...found, limit, problem };
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
