import { Evaluator } from '../../../runtime/src/engine/evaluator';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { StepPlanner } from '../../../runtime/src/engine/step-planner';
import { ThreadGovernor } from '../../../runtime/src/engine/thread-governor';
import { UnusableModel } from '../../../runtime/src/engine/unusable-model';
import { warmUp } from '../../../runtime/src/engine/warm-up';
import { NativeStandIn, SamplerStandIn } from './support/native-stand-in';

/** Warms up on a context of so many sequences; the model answers with these tokens. */
async function warmedUp(sequences: number, { goesBack = true, answer = [5, 6] } = {}) {
  const context = new NativeStandIn();
  const evaluator = new Evaluator(context, () => new SamplerStandIn());
  class AddonSampler extends SamplerStandIn {
    constructor() {
      super(answer);
    }
  }
  const model = {
    tokenize: () => [1, 2, 3],
    _model: {},
    _llama: { _bindings: { AddonSampler } },
  } as unknown as Parameters<typeof warmUp>[0]['model'];
  const times = await warmUp({
    model,
    sequences: Array.from({ length: sequences }, (_, id) => new Sequence(id, context)),
    evaluator,
    goesBack,
    planner: new StepPlanner({ batchSize: 128 }),
    threads: new ThreadGovernor({ most: 1, setThreads: () => undefined }),
  });
  return { batches: context.calls.filter((call) => call.startsWith('batch of')), times, context };
}

const ANSWER = ['batch of 32', 'batch of 1'];

it('measures small batches, and leaves nothing behind', async () => {
  const { batches, times, context } = await warmedUp(1);
  expect(batches.slice(0, 6)).toEqual([...ANSWER, ...[1, 3, 4, 8].map((size) => `batch of ${size}`)]);
  expect(times).toBeDefined();
  expect(context.calls.at(-1)).toBe('forget 0');
});

it('answers, and measures no small batches where the model cannot go back', async () => {
  const { batches, times, context } = await warmedUp(8, { goesBack: false });
  expect(batches.slice(0, 3)).toEqual(ANSWER);
  expect(times).toBeUndefined();
  expect(context.calls.at(-1)).toBe('forget 0');
});

it('refuses a model that generates nothing', async () => {
  await expect(warmedUp(8, { answer: [] })).rejects.toThrow(UnusableModel);
});
