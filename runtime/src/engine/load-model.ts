import { getLlama, GgmlType, GgufInsights, LlamaLogLevel, readGgufFileInfo } from 'node-llama-cpp';
import type { Llama, LlamaContext, LlamaContextSequence, LlamaModel } from 'node-llama-cpp';
import type { BatchingStrategy } from './batching-strategy.js';
import { availableMemory, mebibytes } from './memory.js';
import { checkModelFile, UnusableModel } from './model-file.js';
import type { KvCacheType, ModelSettings } from './options.js';

export interface LoadedContext {
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  /** All there are, in order of their ids, kept for the life of the process: making them anew costs speed. */
  readonly sequences: readonly LlamaContextSequence[];
  /** Settings chosen and why, for people. */
  readonly notes: readonly string[];
}

/** Loads the model and makes its context. @throws UnusableModel with cause and remedy. */
export async function loadModel(settings: ModelSettings, batching: BatchingStrategy): Promise<LoadedContext> {
  await checkModelFile(settings.modelPath);
  const complaints: string[] = [];
  const llama = await startLlama(settings.threads, (text) => complaints.push(text));
  const notes: string[] = [];
  try {
    const contextSize = await checkFits(llama, settings, notes);
    const model = await llama.loadModel({
      modelPath: settings.modelPath,
      gpuLayers: 0,
      // Weights that llama.cpp repacks for the CPU would be in memory twice: once mapped, once repacked.
      useMmap: false,
      ignoreMemorySafetyChecks: true,
    });
    const context = await model.createContext({
      contextSize,
      sequences: settings.sequences,
      batchSize: settings.batchSize,
      threads: settings.threads,
      flashAttention: settings.flashAttention,
      experimentalKvCacheKeyType: ggmlType(settings.kvCacheType),
      experimentalKvCacheValueType: ggmlType(settings.kvCacheType),
      batching: { itemPrioritizationStrategy: batching.prioritize },
      ignoreMemorySafetyChecks: true,
      // Never a smaller context than was asked for.
      failedCreationRemedy: false,
    });
    const sequences = Array.from({ length: settings.sequences }, () => context.getSequence());
    return { model, context, sequences, notes };
  } catch (error) {
    if (error instanceof UnusableModel) throw error;
    throw new UnusableModel(explainLoadError(settings.modelPath, error, complaints), {
      path: settings.modelPath,
    });
  }
}

/** CPU only, and only with the binary that was installed: nothing is built or downloaded on a server. */
export async function startLlama(threads: number, onComplaint: (text: string) => void): Promise<Llama> {
  return getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: threads,
    logLevel: LlamaLogLevel.warn,
    logger: (level, text) => {
      if (level === LlamaLogLevel.error || level === LlamaLogLevel.fatal) onComplaint(text.trim());
    },
  });
}

export function ggmlType(type: KvCacheType): GgmlType {
  return type === 'q8_0' ? GgmlType.Q8_0 : GgmlType.F16;
}

/** Compares what the model and its context need with what there is, before anything is allocated. */
async function checkFits(llama: Llama, settings: ModelSettings, notes: string[]): Promise<number> {
  const file = await readGgufFileInfo(settings.modelPath, { sourceType: 'filesystem', logWarnings: false });
  const insights = await GgufInsights.from(file, llama);
  const trained = insights.trainContextSize ?? settings.contextSize;
  const contextSize = Math.min(settings.contextSize, trained);
  if (contextSize < settings.contextSize) {
    notes.push(
      `context_size is ${contextSize}, not ${settings.contextSize}: the model was trained for no more`,
    );
  }
  const weights = await insights.estimateModelResourceRequirementsV2({ gpuLayers: 0, useMmap: false });
  const context = await insights.estimateContextResourceRequirementsV2({
    contextSize,
    sequences: settings.sequences,
    batchSize: settings.batchSize,
    modelGpuLayers: 0,
    flashAttention: settings.flashAttention,
    kvCacheKeyType: ggmlType(settings.kvCacheType),
    kvCacheValueType: ggmlType(settings.kvCacheType),
    useMmap: false,
  });
  const needed = weights.cpuRam + context.cpuRam;
  const available = await availableMemory();
  notes.push(
    `memory: ${mebibytes(weights.cpuRam)} for the weights and ${mebibytes(context.cpuRam)} for ` +
      `${settings.sequences} sequences of ${contextSize} tokens`,
  );
  if (available !== undefined && needed > available.bytes) {
    throw new UnusableModel(
      `the model needs ${mebibytes(needed)} of memory (${mebibytes(weights.cpuRam)} for the weights, ` +
        `${mebibytes(context.cpuRam)} for ${settings.sequences} sequences of ${contextSize} tokens), ` +
        `but only ${mebibytes(available.bytes)} are free (${available.source}); lower engine.context_size or ` +
        'engine.sequences, set engine.kv_cache_type to q8_0, or take a smaller model or a larger machine',
      { neededBytes: needed, availableBytes: available.bytes },
    );
  }
  return contextSize;
}

function explainLoadError(path: string, error: unknown, complaints: readonly string[]): string {
  const said = error instanceof Error ? error.message : String(error);
  const causes = [...new Set([...complaints, said])].join('; ');
  if (/not within the file bounds|corrupted or incomplete|unexpected end|read error|EOF/i.test(causes)) {
    return `model_path ${path} is damaged or cut short (${causes}); download it again and check its SHA-256`;
  }
  if (/unknown model architecture/i.test(causes)) {
    return `model_path ${path} has an architecture that this llama.cpp does not know (${causes}); take another model`;
  }
  return `model_path ${path} cannot be loaded: ${causes}`;
}
