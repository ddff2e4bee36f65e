import { stat } from 'node:fs/promises';
import { GgufFileType, GgufInsights } from 'node-llama-cpp';
import { partsOf } from '../models/gguf-parts.js';
import { estimateMemory, startLlama, type ContextShape } from './memory-estimate.js';
import { readModelFile } from './model-file.js';
import { resolveModelSettings } from './options.js';

export interface ModelInspection {
  /** llama.cpp's name of the kind of model, `llama` for example. */
  readonly architecture: string;
  readonly name?: string;
  /** Of most of the weights, `Q4_1` for example. */
  readonly quantisation: string;
  readonly parameters?: number;
  readonly layers: number;
  /** The longest context the model was trained for, in tokens. */
  readonly trainContext?: number;
  readonly hasChatTemplate: boolean;
  /** What the figures below are for. */
  readonly contextSize: number;
  readonly sequences: number;
  /** Of all its files, where it is in several. */
  readonly fileBytes: number;
  /** Memory for the weights. */
  readonly weightsBytes: number;
  /** Memory for all sequences' evaluated tokens and for an evaluation. */
  readonly contextBytes: number;
  /** Both. The process itself needs some 130 MB on top. */
  readonly totalBytes: number;
}

/**
 * What is in a GGUF file, and what memory it needs with this context, without loading it: the header is read and
 * llama.cpp plans its allocations. Takes under a second.
 *
 * @throws ModelError when the file is not a GGUF model, UnusableModel when it is cut short
 */
export async function inspectModel(
  file: string,
  shape: Partial<ContextShape> = {},
): Promise<ModelInspection> {
  const info = await readModelFile(file);
  const settings = resolveModelSettings({ ...shape, modelPath: file });
  const llama = await startLlama(1, () => undefined);
  try {
    const insights = await GgufInsights.from(info, llama);
    const { weightsBytes, contextBytes, contextSize } = await estimateMemory(llama, info, settings);
    const { general, tokenizer } = info.metadata;
    return {
      architecture: general.architecture,
      name: general.name,
      quantisation: quantisationName(general.file_type),
      parameters: insights.totalParameters,
      layers: info.architectureMetadata.block_count ?? 0,
      trainContext: insights.trainContextSize,
      hasChatTemplate: tokenizer.chat_template !== undefined,
      contextSize,
      sequences: settings.sequences,
      fileBytes: await bytesOf(partsOf(file)),
      weightsBytes,
      contextBytes,
      totalBytes: weightsBytes + contextBytes,
    };
  } finally {
    await llama.dispose();
  }
}

async function bytesOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function quantisationName(fileType: GgufFileType | undefined): string {
  if (fileType === undefined) return 'unknown';
  return GgufFileType[fileType]?.replace(/^(MOSTLY|ALL)_/, '') ?? `type ${fileType}`;
}
