import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GgufFileInfo, LlamaContext, LlamaEmbeddingContext, LlamaModel } from 'node-llama-cpp';
import { counted } from '../errors/counted.js';
import { messageOf } from '../errors/message-of.js';
import { ModelError } from '../models/errors.js';
import { attentionWindow } from './attention-window.js';
import { watchForZeroes } from './empty-memory.js';
import { fitMemory } from './fit-memory.js';
import { givenBackBytes, useOwnKernels } from './kernels.js';
import { onSmallPages } from './large-pages.js';
import { mebibytes } from './memory.js';
import { ggmlType, startLlama } from './memory-estimate.js';
import type { MemoryPlan } from './memory-plan.js';
import { readModelFile } from './model-file.js';
import { nativeContext } from './native.js';
import type { ModelSettings } from './options.js';
import { repackable, repackModel, type RepackedModel } from './repack/repack-model.js';
import { Sequence } from './sequence.js';
import { UnusableModel } from './unusable-model.js';

/** Where the build puts them, beside the compiled program. */
const KERNELS = join(import.meta.dirname, '..', 'kernels');

/** A model that answers with text. */
export interface LoadedContext {
  readonly kind: 'text';
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  /** All there are, in order of their ids. */
  readonly sequences: readonly Sequence[];
  /** Of the context, what is not in memory yet but will be, as sequences grow. */
  readonly emptyBytes: number;
  /** With which it was made. */
  readonly settings: ModelSettings;
  /** Settings chosen and why, for people. */
  readonly notes: readonly string[];
}

/** A model that makes vectors. */
export interface LoadedEmbedder {
  readonly kind: 'embeddings';
  readonly model: LlamaModel;
  readonly context: LlamaEmbeddingContext;
  readonly settings: ModelSettings;
  readonly notes: readonly string[];
}

/**
 * Loads the model and makes its context.
 *
 * @param warn is told of what works, but not as it should
 * @throws UnusableModel with cause and remedy
 */
export async function loadModel(
  wanted: ModelSettings,
  memory: MemoryPlan,
  warn: (text: string) => void = () => undefined,
): Promise<LoadedContext | LoadedEmbedder> {
  const complaints: string[] = [];
  const notes: string[] = [];
  let repacked: RepackedModel | undefined;
  try {
    const kernels = wanted.fastKernels ? await useOwnKernels(KERNELS) : undefined;
    if (kernels?.level === 'WRN') warn(kernels.text);
    else if (kernels !== undefined) notes.push(kernels.text);
    // node-llama-cpp first tries its library in another process, half a second.
    const [file, llama] = await Promise.all([
      readModelFile(wanted.modelPath),
      startLlama(wanted.threads, (text) => complaints.push(text)),
    ]);
    const { kind, settings } = await fitMemory(llama, file, wanted, memory, notes);
    const { contextSize } = settings;
    const cores = availableParallelism();
    // A pooled vector is made of one evaluation: the whole input has to fit a batch.
    const batchSize = kind === 'embeddings' ? contextSize : settings.batchSize;
    notes.push(
      `${counted(settings.threads, 'thread')} on ${counted(cores, 'core')}, batches of ${counted(batchSize, 'token')}`,
    );
    if (kind === 'text' && settings.repack) repacked = await repack(settings.modelPath, file, notes);
    const model = await llama.loadModel({
      modelPath: repacked?.modelPath ?? settings.modelPath,
      gpuLayers: 0,
      // Weights that llama.cpp repacks for the CPU would be in memory twice: once mapped, once repacked.
      useMmap: false,
      ignoreMemorySafetyChecks: true,
    });
    if (kind === 'embeddings') {
      const { threads } = settings;
      const shape = { contextSize, batchSize, threads, ignoreMemorySafetyChecks: true };
      return { kind, model, context: await model.createEmbeddingContext(shape), settings, notes };
    }
    const givenBack = givenBackBytes();
    const returnZeroes = watchForZeroes();
    const context = await onSmallPages(() =>
      model.createContext({
        contextSize,
        sequences: settings.sequences,
        batchSize,
        threads: settings.threads,
        flashAttention: settings.flashAttention,
        experimentalKvCacheKeyType: ggmlType(settings.kvCacheType),
        experimentalKvCacheValueType: ggmlType(settings.kvCacheType),
        ...(repacked === undefined ? {} : { lora: repacked.adapterPath }),
        ignoreMemorySafetyChecks: true,
        // Never a smaller context than was asked for.
        failedCreationRemedy: false,
      }),
    );
    const emptyBytes = await emptied(givenBackBytes() - givenBack, returnZeroes, notes);
    const native = nativeContext(context);
    const window = attentionWindow(model);
    const sequences = Array.from({ length: settings.sequences }, (_, id) => new Sequence(id, native, window));
    return { kind, model, context, sequences, emptyBytes, settings, notes };
  } catch (error) {
    if (error instanceof UnusableModel) throw error;
    if (error instanceof ModelError)
      throw new UnusableModel(`model_path: ${error.message}`, { path: wanted.modelPath });
    // What llama.cpp has to say comes by way of the event loop, after the failure.
    await sleep(50);
    throw new UnusableModel(explainLoadError(wanted.modelPath, error, complaints), {
      path: wanted.modelPath,
    });
  } finally {
    await repacked?.close();
  }
}

/**
 * The part of the context that is taken from memory as sequences grow. All of it is there where that cannot be had.
 *
 * @param givenBack what was never filled; where that is nothing, the zeroes are looked for
 */
async function emptied(
  givenBack: number,
  returnZeroes: () => Promise<number>,
  notes: string[],
): Promise<number> {
  try {
    const bytes = givenBack > 0 ? givenBack : await returnZeroes();
    if (bytes > 0) notes.push(`${mebibytes(bytes)} of the context are taken as conversations grow`);
    return bytes;
  } catch (error) {
    notes.push(`the whole context is in memory from the start (${messageOf(error)})`);
    return 0;
  }
}

/** In another form where that is faster, and as it is where that cannot be had. */
async function repack(path: string, file: GgufFileInfo, notes: string[]): Promise<RepackedModel | undefined> {
  const { length } = repackable(file);
  if (length === 0) return undefined;
  try {
    const repacked = await repackModel(path, file);
    notes.push(
      `${length} matrices in Q4_1 are evaluated as ${repacked.matrices} in Q4_0 and their difference: the same, faster`,
    );
    return repacked;
  } catch (error) {
    notes.push(
      `${length} matrices stay in Q4_1, which is slower: they could not be written anew (${messageOf(error)})`,
    );
    return undefined;
  }
}

function explainLoadError(path: string, error: unknown, complaints: readonly string[]): string {
  const causes = [...new Set([...complaints, messageOf(error)])].join('; ');
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
