import { availableParallelism } from 'node:os';
import { relative, sep } from 'node:path';

import SequencerModule from '@jest/test-sequencer';

/** Jest's ES module build of it is CommonJS inside. */
const Sequencer = SequencerModule.default;

/** Many tests wait more than they compute: for Terraform, timers, processes. Jest's own choice on two cores is one. */
export const WORKERS = Math.max(2, availableParallelism() - 1);

/**
 * What the longest files take on two cores, in seconds, for a clone in which Jest has no times of its own, such as CI's. By
 * the size of the files, which Jest goes by then, the two longest but one begin last, and a worker waits for the other's
 * engine most of the time: 930 s, reckoned from the times of each, and 700 s in this order. A number that is wrong costs a wait of
 * about as much: one of 150 s that was not here came last, and the other worker waited for its engine.
 *
 * @type {Readonly<Record<string, number>>}
 */
export const SECONDS = {
  '__tests__/stacks/deployed/lifecycle.test.ts': 170,
  '__tests__/scripts/bundle.test.ts': 125,
  '__tests__/runtime/server/handover.model.test.ts': 100,
  '__tests__/runtime/operations/operations.model.test.ts': 95,
  '__tests__/runtime/engine/placement.model.test.ts': 55,
  '__tests__/scripts/up.model.test.ts': 45,
  '__tests__/runtime/faults.model.test.ts': 45,
  '__tests__/runtime/service.model.test.ts': 40,
  '__tests__/runtime/api/openapi-requests.test.ts': 40,
  '__tests__/runtime/console/console.browser.test.ts': 40,
  '__tests__/scripts/kernels/setup.test.ts': 35,
  '__tests__/runtime/engine/fit-memory.model.test.ts': 30,
  '__tests__/runtime/server/unavailable-models.model.test.ts': 30,
  '__tests__/runtime/serving/switch-in-place.model.test.ts': 30,
  '__tests__/runtime/engine/architectures.model.test.ts': 25,
  '__tests__/runtime/engine/split-model.model.test.ts': 25,
  '__tests__/runtime/operations/without-reload.model.test.ts': 25,
  '__tests__/cloud-init/certificate.test.ts': 25,
  '__tests__/runtime/engine/answers.model.test.ts': 20,
  '__tests__/runtime/engine/engine.model.test.ts': 20,
  '__tests__/runtime/engine/prompt-lookup.model.test.ts': 20,
  '__tests__/runtime/console/console.model.test.ts': 20,
  '__tests__/scripts/setup.test.ts': 20,
  '__tests__/scripts/kernels/libraries.test.ts': 20,
  '__tests__/runtime/engine/repack/repack.model.test.ts': 15,
  '__tests__/stacks/validate.test.ts': 15,
  '__tests__/stacks/policy/checkov.test.ts': 15,
  '__tests__/runtime/kernels/q6_k.test.ts': 15,
  '__tests__/runtime/engine/evaluator.model.test.ts': 10,
  '__tests__/runtime/kernels/q8_0.test.ts': 10,
  '__tests__/runtime/server/room.test.ts': 10,
  '__tests__/runtime/cli/model-files.test.ts': 10,
  '__tests__/cloud-init/operating-systems.test.ts': 10,
  '__tests__/stacks/reach.test.ts': 10,
  '__tests__/stacks/policy/references.test.ts': 10,
  '__tests__/runtime/kernels/q4_0.test.ts': 10,
  '__tests__/scripts/wait-ready.test.ts': 10,
  '__tests__/runtime/models/pypi.test.ts': 10,
  '__tests__/runtime/state-copy/register.test.ts': 10,
  '__tests__/runtime/engine/embeddings.model.test.ts': 5,
};
const SECONDS_OF_OTHERS = 2;

/**
 * Longest first, as Jest does it, but no two files at once that need an engine: the second would wait for the first
 * (one-engine-at-a-time.ts), and a worker that waits does nothing else.
 */
export default class InterleavingSequencer extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    const sorted = await super.sort(tests);
    const seconds = new Map(sorted.map((test) => [test, secondsOf(test)]));
    const isKnown = sorted.every(({ duration }) => duration !== undefined);
    // Jest's own order, where it is one by times: what failed the last time comes first in it.
    if (!isKnown) sorted.sort((a, b) => (seconds.get(b) ?? 0) - (seconds.get(a) ?? 0));
    return takingTurns(sorted, {
      workers: WORKERS,
      needsEngine: (test) => test.context.config.displayName?.name === 'model',
      seconds: (test) => seconds.get(test) ?? 0,
    });
  }
}

/** @param {import('@jest/test-result').Test} test */
function secondsOf({ path, duration, context }) {
  if (duration !== undefined) return duration / 1000;
  return SECONDS[relative(context.config.rootDir, path).replaceAll(sep, '/')] ?? SECONDS_OF_OTHERS;
}

/**
 * The order in which workers that take one file after the other have an engine free for each that needs one, as long as
 * there are others to do meanwhile.
 *
 * @template T
 * @param {readonly T[]} tests those that are to come first before the others, of each kind
 * @param {{ workers: number, needsEngine: (test: T) => boolean, seconds: (test: T) => number }} options
 */
export function takingTurns(tests, { workers, needsEngine, seconds }) {
  const withEngine = tests.filter(needsEngine);
  const without = tests.filter((test) => !needsEngine(test));
  /** When each worker has done what it was given, and when the engine is free. */
  const free = Array.from({ length: workers }, () => 0);
  let engineFree = 0;
  /** @type {T[]} */
  const order = [];
  while (order.length < tests.length) {
    const now = Math.min(...free);
    const takesEngine = without.length === 0 || (engineFree <= now && withEngine.length > 0);
    const test = /** @type {T} */ ((takesEngine ? withEngine : without).shift());
    const end = (takesEngine ? Math.max(now, engineFree) : now) + seconds(test);
    free[free.indexOf(now)] = end;
    if (takesEngine) engineFree = end;
    order.push(test);
  }
  return order;
}
