/** Starts the models: local ones one after the other, with the memory of all in view; remote ones meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { ModelConfig } from '../config/models.js';
import { EngineError } from '../engine/engine.js';
import type { ModelNeed } from '../engine/estimate-models.js';
import { availableMemory, mebibytes } from '../engine/memory.js';
import { ALL_FREE, type MemoryPlan } from '../engine/memory-plan.js';
import type { Logger } from '../log/logger.js';
import type { EngineFactory } from './engine-factory.js';
import { atMost, untouchedBytes, type ServedModel, type ServedModels } from './served-models.js';

/** Between two tries to reach a further model's remote service. Each costs it a token. */
const REMOTE_RETRY_MS = 60_000;

export interface StartOptions {
  readonly factory: Pick<EngineFactory, 'estimate'>;
  readonly log: Logger;
  /** Ends the tries to reach remote services. */
  readonly signal: AbortSignal;
  /** What of the free memory is not theirs, and what will be. @default all is free */
  readonly memory?: MemoryPlan | undefined;
}

/**
 * Resolves when the default model and every local one has answered. A further remote service that does not answer holds
 * up nobody: it is asked again until it does.
 *
 * @throws EngineError with the key of the configuration that is to blame
 */
export async function startModels(
  models: ServedModels,
  { factory, log, signal, memory = ALL_FREE }: StartOptions,
): Promise<void> {
  const { local } = models;
  const needs = await checkTogether(local, factory, memory);
  for (const model of models.all) {
    if (model.config.remote !== undefined && model !== models.default)
      void untilItAnswers(model, log, signal);
  }
  if (models.default.config.remote !== undefined) await models.default.engine.start();
  await startEach(local, needs, memory);
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

async function untilItAnswers(model: ServedModel, log: Logger, signal: AbortSignal): Promise<void> {
  const { config, engine } = model;
  while (!signal.aborted) {
    try {
      await engine.start();
      log.log('INF', `ready: ${engine.model.id}, ${engine.model.notes.join(', ')}`);
      return;
    } catch (error) {
      if (engine.status().state !== 'failed') return;
      const again = `trying again in ${REMOTE_RETRY_MS / 1000} s`;
      log.log('WRN', `${withKey(error, config).message}; ${again}`);
    }
    await sleep(REMOTE_RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Messages of an engine name its own keys; which model's they are is known here. */
function withKey(error: unknown, config: ModelConfig | undefined): Error {
  if (!(error instanceof Error) || config === undefined || config.key === '') return error as Error;
  const { key, id } = config;
  const message = /^(model_path|remote_service)/.test(error.message)
    ? key + error.message
    : `${key.slice(0, -1)} (${id}): ${error.message}`;
  return error instanceof EngineError
    ? new EngineError(error.code, message, error.details)
    : new Error(message);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
