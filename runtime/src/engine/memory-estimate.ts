import { getLlama, GgmlType, GgufInsights, LlamaLogLevel } from 'node-llama-cpp';
import type { GgufFileInfo, Llama } from 'node-llama-cpp';
import { modelKind } from './model-kind.js';
import type { KvCacheType, ModelSettings } from './options.js';
import { repackingBytes } from './repack/repack-model.js';

export interface MemoryEstimate {
  readonly weightsBytes: number;
  /** Cache of the evaluated tokens of all sequences, and what an evaluation needs. */
  readonly contextBytes: number;
  /** What a sequence may hold: what was asked for, or what the model was trained for if that is less. */
  readonly contextSize: number;
}

/** What the estimate depends on. */
export type ContextShape = Pick<
  ModelSettings,
  'contextSize' | 'sequences' | 'batchSize' | 'flashAttention' | 'kvCacheType' | 'repack'
>;

/**
 * What llama.cpp will allocate for this model and context, to the byte: it plans the allocation without making it.
 * Weights are counted as the engine loads them, copied rather than mapped.
 */
export async function estimateMemory(
  llama: Llama,
  file: GgufFileInfo,
  shape: ContextShape & Pick<ModelSettings, 'modelPath'>,
): Promise<MemoryEstimate> {
  const insights = await GgufInsights.from(file, llama);
  const contextSize = Math.min(shape.contextSize, insights.trainContextSize ?? shape.contextSize);
  const weights = await insights.estimateModelResourceRequirementsV2({ gpuLayers: 0, useMmap: false });
  const embeds = modelKind(shape.modelPath, file) === 'embeddings';
  const context = await insights.estimateContextResourceRequirementsV2({
    contextSize,
    // As the engine makes it: see load-model.ts.
    ...(embeds
      ? { sequences: 1, batchSize: contextSize, isEmbeddingContext: true }
      : { sequences: shape.sequences, batchSize: shape.batchSize }),
    modelGpuLayers: 0,
    flashAttention: shape.flashAttention,
    kvCacheKeyType: ggmlType(shape.kvCacheType),
    kvCacheValueType: ggmlType(shape.kvCacheType),
    useMmap: false,
  });
  const repacking = shape.repack && !embeds ? repackingBytes(file) : 0;
  return { weightsBytes: weights.cpuRam + repacking, contextBytes: context.cpuRam, contextSize };
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
