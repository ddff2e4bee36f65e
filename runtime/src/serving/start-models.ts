/** Starts the models: local ones one after the other, with the memory of all in view; remote ones meanwhile. */
import { EngineError } from '../engine/engine.js';
import type { ModelNeed } from '../engine/estimate-models.js';
import { availableMemory, mebibytes } from '../engine/memory.js';
import { ALL_FREE, type MemoryPlan } from '../engine/memory-plan.js';
import type { Logger } from '../log/logger.js';
import type { EngineFactory } from './engine-factory.js';
import { atMost, untouchedBytes, type ServedModel, type ServedModels } from './served-models.js';
import { retryWhenFailed } from './retry.js';
import { withKey } from './with-key.js';

export interface StartOptions {
  readonly factory: Pick<EngineFactory, 'estimate'>;
  readonly log: Logger;
  /** Ends the tries to start again what has failed. */
  readonly signal: AbortSignal;
  /** What of the free memory is not theirs, and what will be. @default all is free */
  readonly memory?: MemoryPlan | undefined;
  /** Also where it is a remote service: another process answers as long as this one does not. @default false */
  readonly defaultMustAnswer?: boolean;
}

/**
 * Resolves when every local model has answered, and the default one has been asked. A remote service that does not
 * answer may be back before anybody could mend a service that has ended: it is asked again until it does. So is, from
 * then on, a local model that fails.
 *
 * @throws EngineError with the key of the configuration that is to blame
 */
export async function startModels(
  models: ServedModels,
  { factory, log, signal, memory = ALL_FREE, defaultMustAnswer = false }: StartOptions,
): Promise<void> {
  const { local, all } = models;
  const needs = await checkTogether(local, factory, memory);
  const retry = (model: ServedModel) => retryWhenFailed(model, { models, log, signal });
  let isAsked: Promise<void> | undefined;
  for (const model of all) {
    if (model.config.remote === undefined) continue;
    if (model === models.default && defaultMustAnswer) {
      await model.engine.start();
      retry(model);
      continue;
    }
    retry(model);
    const asked = model.engine.start().catch(() => undefined);
    if (model === models.default) isAsked = asked;
  }
  await startEach(local, needs, memory);
  for (const model of local) retry(model);
  await isAsked;
}

/** The local ones alone, in all of the memory, while remote ones go on. @throws as startModels does */
export async function startLocalModels(
  models: ServedModels,
  factory: StartOptions['factory'],
): Promise<void> {
  const { local } = models;
  await startEach(local, await checkTogether(local, factory, ALL_FREE), ALL_FREE);
}

async function startEach(
  local: readonly ServedModel[],
  needs: Needs | undefined,
  memory: MemoryPlan,
): Promise<void> {
  for (const [index, { engine, config }] of local.entries()) {
    const ofOthers = needs === undefined ? 0 : await reservedFor(index, needs, local);
    try {
      await engine.start({ ...memory, reservedBytes: memory.reservedBytes + ofOthers });
    } catch (error) {
      throw withKey(error, config);
    }
  }
}

/** Before the first is loaded: not after minutes, when the last one finds no room. One alone shares with nobody. */
async function checkTogether(
  local: readonly ServedModel[],
  factory: StartOptions['factory'],
  { reservedBytes, soonBytes = 0 }: MemoryPlan,
): Promise<Needs | undefined> {
  if (local.length < 2) return undefined;
  const estimates = await factory.estimate(local.map(({ config }) => config));
  const needs = estimates.map((estimate, index): ModelNeed => {
    if ('bytes' in estimate) return estimate;
    throw withKey(new EngineError('model_unusable', estimate.problem), local[index]?.config);
  });
  const available = await availableMemory();
  const freeBytes = Math.max(0, (available?.bytes ?? Infinity) + soonBytes - reservedBytes);
  const least = needs.map(({ leastBytes }) => leastBytes);
  if (sum(least) > freeBytes) {
    const each = local.map(({ config }, index) => `${config.key}model_path ${mebibytes(least[index] ?? 0)}`);
    throw new EngineError(
      'model_unusable',
      `\`models\`: together they need ${mebibytes(sum(least))} of memory (${each.join(', ')}), but only ` +
        `${mebibytes(freeBytes)} are free (${available?.source ?? 'unknown'}); remove one of \`models\`, set a smaller ` +
        '`engine.context_size` or fewer `engine.sequences` for it, or take a larger machine',
    );
  }
  const planned = [needs.map(({ bytes }) => bytes), needs.map(({ fewer }) => fewer.bytes)].find(
    (bytes) => sum(bytes) <= freeBytes,
  );
  // Where not all fit, the default one takes what the others can do without.
  const most = freeBytes - sum(least.slice(1));
  for (const [index, model] of local.entries()) {
    const need = needs[index];
    if (need === undefined) continue;
    const limit = index === 0 ? most : need.leastBytes;
    model.need = planned === undefined ? atMost(need, limit) : need;
  }
  return { needs, planned };
}

/** What of the memory that is free now is not the model's whose turn it is. */
async function reservedFor(
  index: number,
  { needs, planned }: Needs,
  local: readonly ServedModel[],
): Promise<number> {
  if (planned !== undefined) {
    const before = needs.slice(0, index).map(async (need, at) => {
      const model = local[at];
      return model === undefined ? 0 : untouchedBytes(model, need);
    });
    return sum([...planned.slice(index + 1), ...(await Promise.all(before))]);
  }
  if (index === 0) return sum(needs.slice(1).map(({ leastBytes }) => leastBytes));
  // The default model took what the others can do without; those before this one do not hold all that is theirs yet.
  const free = (await availableMemory())?.bytes ?? Infinity;
  return Math.max(0, free - (needs[index]?.leastBytes ?? 0));
}

interface Needs {
  readonly needs: readonly ModelNeed[];
  /** What each may count on, in bytes: all that is wanted, else with fewer sequences. Undefined: each has to do with less. */
  readonly planned: readonly number[] | undefined;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
