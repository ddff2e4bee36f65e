import type { GgufFileInfo, Llama } from 'node-llama-cpp';
import { counted } from '../errors/counted.js';
import { describeConcessions, firstThatFits, MEMORY_REMEDY } from './concessions.js';
import { availableMemory, mebibytes, REQUESTS_BYTES } from './memory.js';
import { estimateMemory } from './memory-estimate.js';
import type { MemoryPlan } from './memory-plan.js';
import { modelKind, type ModelKind } from './model-kind.js';
import type { ModelSettings } from './options.js';
import { UnusableModel } from './unusable-model.js';

/**
 * Compares what the model and its context need with what there is, before anything is allocated, and lowers what nobody
 * has set until it fits.
 */
export async function fitMemory(
  llama: Llama,
  file: GgufFileInfo,
  wanted: ModelSettings,
  { reservedBytes, soonBytes = 0 }: MemoryPlan,
  notes: string[],
): Promise<{ readonly settings: ModelSettings; readonly kind: ModelKind }> {
  const kind = modelKind(wanted.modelPath, file);
  const available = await availableMemory();
  const reserved = reservedBytes + REQUESTS_BYTES;
  const freeBytes = available === undefined ? Infinity : Math.max(0, available.bytes + soonBytes - reserved);
  const others = reservedBytes === 0 ? '' : ` and ${mebibytes(reservedBytes)} for others`;
  const without = `without ${mebibytes(REQUESTS_BYTES)} for requests${others}`;
  const free = `only ${mebibytes(freeBytes)} are free (${available?.source ?? 'unknown'}, ${without})`;

  const { wanted: most, found } = await firstThatFits(
    wanted,
    (settings) => estimateNeed(llama, file, settings, kind),
    ({ bytes }) => bytes <= freeBytes,
  );
  if (found === undefined) {
    throw new UnusableModel(
      `the model needs ${mebibytes(most.bytes)} of memory (${most.text}), but ${free}; ${MEMORY_REMEDY}`,
      { neededBytes: most.bytes, availableBytes: freeBytes },
    );
  }
  const { settings, need } = found;
  if (need.contextSize < settings.contextSize) {
    notes.push(`context_size is ${need.contextSize}: the model was trained for no more`);
  }
  notes.push(`memory: ${need.text}`);
  const given = describeConcessions(wanted, settings);
  if (given !== '') notes.push(`${given}: else it would need ${most.text}, and ${free}`);
  return { kind, settings: { ...settings, contextSize: need.contextSize } };
}

interface Need {
  readonly bytes: number;
  readonly contextSize: number;
  /** For people: what it is made of. */
  readonly text: string;
}

async function estimateNeed(
  llama: Llama,
  file: GgufFileInfo,
  settings: ModelSettings,
  kind: ModelKind,
): Promise<Need> {
  const { weightsBytes, contextBytes, contextSize } = await estimateMemory(llama, file, settings);
  const sequences = kind === 'embeddings' ? 'an input' : counted(settings.sequences, 'sequence');
  const text =
    `${mebibytes(weightsBytes)} for the weights and ${mebibytes(contextBytes)} for ${sequences} of ` +
    `${contextSize} tokens in ${settings.kvCacheType}`;
  return { bytes: weightsBytes + contextBytes, contextSize, text };
}
