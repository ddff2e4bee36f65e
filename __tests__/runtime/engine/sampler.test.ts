import type { SamplingOptions } from '../../../runtime/src/engine/engine';
import type { Token } from '../../../runtime/src/engine/native';
import { Sampler } from '../../../runtime/src/engine/sampler';
import { SamplerStandIn } from './support/native-stand-in';

const OPTIONS: SamplingOptions = {
  maxTokens: 10,
  temperature: 0.7,
  topP: 0.9,
  stop: [],
  frequencyPenalty: 0,
  presencePenalty: 0,
};
const grammar = { _state: { of: 'a grammar' } } as unknown as Parameters<Sampler['holdTo']>[0];

function begun(options: Partial<SamplingOptions>) {
  const native = new SamplerStandIn();
  const sampler = new Sampler(native);
  sampler.begin({ ...OPTIONS, ...options }, 4096);
  return { native, sampler };
}

/** llama.cpp takes 2 ** 32 - 1 for any seed, and goes on with the random numbers of one that is as before. */
it('gives llama.cpp a seed that it repeats, after another', () => {
  for (const seed of [7, 0, -1, -2, 2 ** 32 - 1, 2 ** 32 - 2, 2 ** 40 + 5, undefined]) {
    const { configs } = begun(seed === undefined ? {} : { seed }).native;
    const [before, given] = configs.slice(-2).map((config) => config.seed!);
    expect(given).toBeGreaterThanOrEqual(0);
    expect(given).toBeLessThan(2 ** 32 - 1);
    expect(before).toBeLessThan(2 ** 32 - 1);
    expect(before).not.toBe(given);
  }
  expect(begun({ seed: 7 }).native.configs.at(-1)!.seed).toBe(7);
});

it('punishes nothing of the answer before', () => {
  const { native, sampler } = begun({ frequencyPenalty: 1 });
  sampler.end();
  sampler.begin({ ...OPTIONS, frequencyPenalty: 1 }, 4096);
  const [cleared, given] = native.configs.slice(-2);
  expect(cleared).not.toHaveProperty('repeatPenaltyTokens');
  expect([...given!.repeatPenaltyTokens!]).toEqual([]);
  expect(given!.repeatPenaltyFrequencyPenalty).toBe(1);
});

it('keeps seed and punished tokens when a grammar begins in mid-answer, and lets go of it at the end', () => {
  const { native, sampler } = begun({ seed: 3, presencePenalty: 1 });
  sampler.holdTo(grammar, [5, 6] as Token[]);
  expect(native.configs.at(-1)).toMatchObject({
    seed: 3,
    repeatPenaltyPresencePenalty: 1,
    grammarEvaluationState: { of: 'a grammar' },
  });
  expect([...native.configs.at(-1)!.repeatPenaltyTokens!]).toEqual([5, 6]);
  sampler.end();
  expect(native.configs.at(-1)).not.toHaveProperty('grammarEvaluationState');
});
