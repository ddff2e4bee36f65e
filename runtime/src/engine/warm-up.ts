import type { LlamaModel, Token } from 'node-llama-cpp';
import type { Evaluator } from './evaluator.js';
import { newNativeSampler } from './native.js';
import { Sampler } from './sampler.js';
import type { Sequence } from './sequence.js';
import { BatchTimes, type SmallBatches } from './small-batches.js';
import type { StepPlanner } from './step-planner.js';
import type { ThreadGovernor } from './thread-governor.js';
import { UnusableModel } from './unusable-model.js';

const PROMPT_TOKENS = 32;
/** Small batches are measured again as long as that takes no longer: the shortest time counts. */
const MEASURING_MS = 200;

/**
 * Has the model answer once: proof that it can, a first measurement for the planner, and the end of the slowness of
 * a first evaluation. Resolves to what small batches take; to undefined where that is of no use, as what they are filled
 * with has to be forgotten.
 */
export async function warmUp(parts: {
  readonly model: LlamaModel;
  readonly sequences: readonly Sequence[];
  readonly evaluator: Evaluator;
  /** Sequences can go back to any of their tokens. */
  readonly goesBack: boolean;
  readonly planner: StepPlanner;
  readonly threads: ThreadGovernor;
}): Promise<BatchTimes | undefined> {
  const { model, sequences, evaluator, goesBack, planner, threads } = parts;
  const sequence = sequences[0];
  if (sequence === undefined) throw new RangeError('the context has no sequence');
  const words = model.tokenize('one two three four five six seven eight nine ten ');
  const prompt: Token[] = [];
  while (prompt.length < PROMPT_TOKENS) prompt.push(...words);
  prompt.length = PROMPT_TOKENS;

  const sampler = new Sampler(newNativeSampler(model));
  let tokens = prompt;
  for (const step of [
    { kind: 'prefill', shares: new Map([[0, PROMPT_TOKENS]]) },
    { kind: 'decode', shares: new Map([[0, 1]]) },
  ] as const) {
    threads.stepBegins();
    const started = performance.now();
    const [outcome] = await evaluator.evaluate([{ sequence, tokens, sampler }]);
    const token = outcome?.chosen[0]?.token;
    if (token === undefined)
      throw new UnusableModel('the model was loaded but generates nothing; take another model');
    tokens = [token];
    planner.record(step, performance.now() - started, false);
    threads.stepEnds();
  }
  sequence.clear();
  if (!goesBack) return undefined;
  return new BatchTimes(await measureSmallBatches(evaluator, sequence, { tokens: prompt, sampler }));
}

/** As answers are evaluated: with the logits of each token. */
async function measureSmallBatches(
  evaluator: Evaluator,
  sequence: Sequence,
  { tokens, sampler }: { readonly tokens: readonly Token[]; readonly sampler: Sampler },
): Promise<SmallBatches> {
  const timeOf = async (count: number): Promise<number> => {
    const started = performance.now();
    await evaluator.evaluate([
      { sequence, tokens: tokens.slice(0, 1), sampler, draft: tokens.slice(1, count) },
    ]);
    const elapsed = performance.now() - started;
    sequence.clear();
    return elapsed;
  };
  const best = { one: Infinity, three: Infinity, four: Infinity, eight: Infinity };
  const started = performance.now();
  do {
    best.one = Math.min(best.one, await timeOf(1));
    best.three = Math.min(best.three, await timeOf(3));
    best.four = Math.min(best.four, await timeOf(4));
    best.eight = Math.min(best.eight, await timeOf(8));
  } while (performance.now() - started < MEASURING_MS);
  return best;
}
