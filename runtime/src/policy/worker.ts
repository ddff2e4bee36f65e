/** The thread of PolicyDesk: one task, one answer. */
import { parentPort, workerData } from 'node:worker_threads';

import type { PolicyOutcome, PolicyTask } from './desk.js';
import { parsePolicy, PolicyError } from './read.js';

async function outcomeOf(task: PolicyTask): Promise<PolicyOutcome> {
  const { maxRequestSeconds } = task;
  try {
    if (task.kind === 'read') return { result: parsePolicy(task.text, maxRequestSeconds) };
    const { rewritePolicy } = await import('./rewrite.js');
    return { result: await rewritePolicy(task.before, task.value, maxRequestSeconds) };
  } catch (error) {
    if (error instanceof PolicyError) return { problems: error.problems };
    throw error;
  }
}

parentPort?.postMessage(await outcomeOf(workerData as PolicyTask));
