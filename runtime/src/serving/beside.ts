/** Whether all models find room beside those of a process that runs, and whose place this one is to take. */
import { EngineError } from '../engine/engine.js';
import { availableMemory, mebibytes, residentBytes } from '../engine/memory.js';
import { ALL_FREE, type MemoryPlan } from '../engine/memory-plan.js';
import type { EngineFactory } from './engine-factory.js';
import { HEADROOM_BYTES } from './model-switch.js';
import type { ServedModels } from './served-models.js';

/** What local engines take now, in bytes. */
export async function enginesBytes(models: ServedModels): Promise<number> {
  const each = models.local.map(({ engine }) => residentBytes(engine.pid));
  return (await Promise.all(each)).reduce((sum, bytes) => sum + bytes, 0);
}

/** What conversations of the process that runs may take while the other loads: a thousand tokens a second for some seconds. */
const GROWTH_BYTES = 256 * 1024 * 1024;

/**
 * The memory that the models may take while the others are still there: what these may grow by meanwhile stays free, and
 * what they leave counts for the prompt cache. A service that came back with fewer sequences would be a worse one, so
 * what is wanted has to fit whole.
 *
 * @param othersBytes what the engines of the process that runs take
 * @returns `memory` is undefined where there is no room
 * @throws EngineError where a model cannot be served at all
 */
export async function planBeside(
  models: ServedModels,
  factory: Pick<EngineFactory, 'estimate'>,
  othersBytes: number,
  available: typeof availableMemory = availableMemory,
): Promise<{ readonly memory: MemoryPlan | undefined; readonly text: string }> {
  const local = models.local.map(({ config }) => config);
  if (local.length === 0) return { memory: ALL_FREE, text: 'no local model' };
  let needed = 0;
  for (const [index, estimate] of (await factory.estimate(local)).entries()) {
    if ('problem' in estimate)
      throw new EngineError('model_unusable', `${local[index]?.id}: ${estimate.problem}`);
    needed += estimate.bytes;
  }
  // They are taken to grow to what the new ones will take: mostly they are the same.
  const growth = Math.min(GROWTH_BYTES, Math.max(0, needed - othersBytes));
  const reservedBytes = HEADROOM_BYTES + growth;
  const free = (await available())?.bytes ?? Infinity;
  const text = `${mebibytes(needed + reservedBytes)} needed, ${mebibytes(free)} free`;
  const fits = needed + reservedBytes <= free;
  return { memory: fits ? { reservedBytes, returningBytes: othersBytes } : undefined, text };
}
