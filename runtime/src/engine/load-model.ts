import { setTimeout as sleep } from 'node:timers/promises';
import { readGgufFileInfo } from 'node-llama-cpp';
import type {
  Llama,
  LlamaContext,
  LlamaContextSequence,
  LlamaEmbeddingContext,
  LlamaModel,
} from 'node-llama-cpp';
import { ModelError } from '../models/errors.js';
import { checkGgufFile } from '../models/gguf-file.js';
import type { BatchingStrategy } from './batching-strategy.js';
import { checkComplete } from './complete-file.js';
import { availableMemory, mebibytes } from './memory.js';
import { estimateMemory, ggmlType, startLlama } from './memory-estimate.js';
import type { MemoryPlan } from './memory-plan.js';
import { modelKind, type ModelKind } from './model-kind.js';
import type { ModelSettings } from './options.js';
import { UnusableModel } from './unusable-model.js';

/** A model that answers with text. */
export interface LoadedContext {
  readonly kind: 'text';
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  /** All there are, in order of their ids, kept for the life of the process: making them anew costs speed. */
  readonly sequences: readonly LlamaContextSequence[];
  /** Settings chosen and why, for people. */
  readonly notes: readonly string[];
}

/** A model that makes vectors. */
export interface LoadedEmbedder {
  readonly kind: 'embeddings';
  readonly model: LlamaModel;
  readonly context: LlamaEmbeddingContext;
  readonly contextSize: number;
  readonly notes: readonly string[];
}

/** Loads the model and makes its context. @throws UnusableModel with cause and remedy. */
export async function loadModel(
  settings: ModelSettings,
  batching: BatchingStrategy,
  memory: MemoryPlan,
): Promise<LoadedContext | LoadedEmbedder> {
  const complaints: string[] = [];
  const notes: string[] = [];
  try {
    await checkGgufFile(settings.modelPath);
    const llama = await startLlama(settings.threads, (text) => complaints.push(text));
    const { contextSize, kind } = await checkFits(llama, settings, memory, notes);
    const model = await llama.loadModel({
      modelPath: settings.modelPath,
      gpuLayers: 0,
      // Weights that llama.cpp repacks for the CPU would be in memory twice: once mapped, once repacked.
      useMmap: false,
      ignoreMemorySafetyChecks: true,
    });
    if (kind === 'embeddings') {
      const { threads } = settings;
      // A pooled vector is made of one evaluation: the whole input has to fit a batch.
      const shape = { contextSize, batchSize: contextSize, threads, ignoreMemorySafetyChecks: true };
      return { kind, model, context: await model.createEmbeddingContext(shape), contextSize, notes };
    }
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
    return { kind, model, context, sequences, notes };
  } catch (error) {
    if (error instanceof UnusableModel) throw error;
    if (error instanceof ModelError)
      throw new UnusableModel(`model_path: ${error.message}`, { path: settings.modelPath });
    // What llama.cpp has to say comes by way of the event loop, after the failure.
    await sleep(50);
    throw new UnusableModel(explainLoadError(settings.modelPath, error, complaints), {
      path: settings.modelPath,
    });
  }
}

/** Compares what the model and its context need with what there is, before anything is allocated. */
async function checkFits(
  llama: Llama,
  settings: ModelSettings,
  { reservedBytes }: MemoryPlan,
  notes: string[],
): Promise<{ readonly contextSize: number; readonly kind: ModelKind }> {
  const file = await readGgufFileInfo(settings.modelPath, { sourceType: 'filesystem', logWarnings: false });
  await checkComplete(settings.modelPath, file);
  const kind = modelKind(settings.modelPath, file);
  const { weightsBytes, contextBytes, contextSize } = await estimateMemory(llama, file, settings);
  if (contextSize < settings.contextSize) {
    notes.push(
      `context_size is ${contextSize}, not ${settings.contextSize}: the model was trained for no more`,
    );
  }
  const sequences = kind === 'embeddings' ? 'an input' : `${settings.sequences} sequences`;
  const parts = `${mebibytes(weightsBytes)} for the weights and ${mebibytes(contextBytes)} for ${sequences} of ${contextSize} tokens`;
  notes.push(`memory: ${parts}`);
  const needed = weightsBytes + contextBytes;
  const available = await availableMemory();
  const free = available === undefined ? Infinity : Math.max(0, available.bytes - reservedBytes);
  if (available !== undefined && needed > free) {
    const others = reservedBytes === 0 ? '' : `, without ${mebibytes(reservedBytes)} that are reserved`;
    throw new UnusableModel(
      `the model needs ${mebibytes(needed)} of memory (${parts}), but only ${mebibytes(free)} are free ` +
        `(${available.source}${others}); lower engine.context_size or engine.sequences, set engine.kv_cache_type to q8_0, ` +
        'or take a smaller model or a larger machine',
      { neededBytes: needed, availableBytes: free },
    );
  }
  return { contextSize, kind };
}

function explainLoadError(path: string, error: unknown, complaints: readonly string[]): string {
  const causes = [...new Set([...complaints, error instanceof Error ? error.message : String(error)])].join(
    '; ',
  );
  if (
    /not within the file bounds|corrupted or incomplete|out of range|end of file|failed to read|read error/i.test(
      causes,
    )
  ) {
    return `model_path: ${path} is damaged or cut short (${causes}); download it again and check its SHA-256`;
  }
  if (/unknown model architecture/i.test(causes)) {
    return `model_path: ${path} has an architecture that this llama.cpp does not know (${causes}); take another model`;
  }
  return `model_path: ${path} cannot be loaded: ${causes}`;
}
