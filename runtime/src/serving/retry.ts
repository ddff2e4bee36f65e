/** Starts an engine that has failed again, until it answers: what is mended outside needs no restart of the service. */
import type { EngineStatus } from '../engine/engine.js';
import { ALL_FREE } from '../engine/memory-plan.js';
import type { Logger } from '../log/logger.js';
import type { ServedModel, ServedModels } from './served-models.js';
import { messageWithKey } from './with-key.js';

/** Before the first try; doubles with each failure in a row. */
const FIRST_RETRY_SECONDS = 5;
/** A try costs a remote service a token, and a local model the reading of its file. */
const LONGEST_RETRY_SECONDS = 60;

export interface RetryOptions {
  readonly models: ServedModels;
  readonly log: Logger;
  /** Ends the tries. */
  readonly signal: AbortSignal;
}

/** From now on. Requests are told when the next try is. */
export function retryWhenFailed(model: ServedModel, { models, log, signal }: RetryOptions): void {
  const { engine, admission } = model;
  let failures = 0;
  let isWaiting = false;

  const startAgain = async (): Promise<void> => {
    const promisedBytes = await models.promisedBeside(model.config.key);
    isWaiting = false;
    // Another engine may have come, or this one may be on its way out.
    if (signal.aborted || engine.status().state !== 'failed') return;
    await engine.start({ ...ALL_FREE, promisedBytes });
  };

  const wait = (reason: string): void => {
    const { config } = model;
    isWaiting = true;
    const seconds = Math.min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** failures++);
    admission.retryIn(seconds);
    const level = model === models.default || config.remote === undefined ? 'ERR' : 'WRN';
    log.log(level, `${messageWithKey(reason, config)}; trying again in ${seconds} s`);
    // That it fails again shows as its state.
    setTimeout(() => void startAgain().catch(() => undefined), seconds * 1000).unref();
  };

  engine.onState(({ state, reason = 'the engine failed' }: EngineStatus) => {
    if (state === 'ready') {
      const isFurtherRemote = model.config.remote !== undefined && model !== models.default;
      if (failures > 0 || isFurtherRemote)
        log.log('INF', `ready: ${engine.model.id}, ${engine.model.notes.join(', ')}`);
      failures = 0;
    }
    if (state === 'failed' && !isWaiting && !signal.aborted) wait(reason);
  });
}
