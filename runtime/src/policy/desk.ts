/** Reads and writes policies without holding up anybody: what takes long is done in a thread of its own. */
import { Worker } from 'node:worker_threads';

import { parsePolicy, PolicyError } from './read.js';
import type { Policy } from './schema.js';

/** Up to here, in characters, reading takes some 10 ms; a thread takes longer than that to start, and 10 to 30 MB. */
const SHORT = 16 * 1024;

export type PolicyTask = { readonly maxRequestSeconds: number } & (
  | { readonly kind: 'read'; readonly text: string }
  | { readonly kind: 'rewrite'; readonly before: string; readonly value: unknown }
);
/** What a thread answers: the result, or a PolicyError's problems. */
export type PolicyOutcome = { readonly result: unknown } | { readonly problems: readonly string[] };

export interface PolicyDeskOptions {
  readonly maxRequestSeconds: number;
  /** The compiled worker.js. Undefined, as in commands, for whom nobody waits: all is done here. */
  readonly workerEntry?: string | undefined;
}

export class PolicyDesk {
  readonly #options: PolicyDeskOptions;

  constructor(options: PolicyDeskOptions) {
    this.#options = options;
  }

  /** @throws PolicyError */
  async read(text: string): Promise<Policy> {
    const { maxRequestSeconds, workerEntry } = this.#options;
    if (workerEntry === undefined || text.length <= SHORT) return parsePolicy(text, maxRequestSeconds);
    return (await inThread(workerEntry, { kind: 'read', text, maxRequestSeconds })) as Policy;
  }

  /** See rewritePolicy. @throws PolicyError */
  async rewrite(before: string, value: unknown): Promise<string> {
    const { maxRequestSeconds, workerEntry } = this.#options;
    if (workerEntry === undefined) {
      const { rewritePolicy } = await import('./rewrite.js');
      return rewritePolicy(before, value, maxRequestSeconds);
    }
    // However short: what it takes to edit YAML is in memory only as long as the thread is there.
    return (await inThread(workerEntry, { kind: 'rewrite', before, value, maxRequestSeconds })) as string;
  }
}

async function inThread(entry: string, task: PolicyTask): Promise<unknown> {
  const worker = new Worker(entry, { workerData: task });
  try {
    const outcome = await new Promise<PolicyOutcome>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', () =>
        reject(new Error('the thread that reads the policy ended without an answer')),
      );
    });
    if ('problems' in outcome) throw new PolicyError(outcome.problems);
    return outcome.result;
  } finally {
    void worker.terminate();
  }
}
