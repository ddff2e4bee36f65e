import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelSettings } from './options.js';
import { childEnvironment } from './supervisor.js';

/** What a model will take once its context is full, with the process that it runs in. */
export interface ModelNeed {
  readonly bytes: number;
  /** The same with fewer sequences, where nobody has set how many. */
  readonly fewer: { readonly sequences: number; readonly bytes: number };
  /** The same with the least of what nobody has set: see concessions.ts. */
  readonly leastBytes: number;
}

/** Or why it cannot be served. */
export type Estimate = ModelNeed | { readonly problem: string };

/** It reads headers; a disk that hangs must not hang the start. */
const LIMIT_MS = 60_000;
/** A killed process that waits for such a disk does not end. */
const ENDING_MS = 1000;

/** One for each model. Takes about a second. @throws Error when the process that estimates fails */
export async function estimateModels(
  models: readonly ModelSettings[],
  childEntry: string,
): Promise<readonly Estimate[]> {
  const child = fork(childEntry, {
    env: childEnvironment(),
    execArgv: ['--max-old-space-size=256'],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  try {
    return await new Promise((resolve, reject) => {
      child.once('message', (estimates) => resolve(estimates as readonly Estimate[]));
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`the models' memory cannot be estimated (exit ${code ?? signal})`)),
      );
      child.send(models);
    });
  } finally {
    clearTimeout(limit);
    child.kill('SIGKILL');
    // Its memory is free, too, when the estimate is set against what is.
    await Promise.race([ended, sleep(ENDING_MS, undefined, { ref: false })]);
  }
}
