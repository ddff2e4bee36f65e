import { Evaluator } from '../../../runtime/src/engine/evaluator';
import type { Token } from '../../../runtime/src/engine/native';
import { Sampler } from '../../../runtime/src/engine/sampler';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { NativeStandIn, SamplerStandIn } from './support/native-stand-in';

const tokens = (...ids: number[]): Token[] => ids as Token[];
const choosing = (...choices: number[]): Sampler => new Sampler(new SamplerStandIn(choices));

function evaluatorOf(context: NativeStandIn, poolThreads = '1'): Evaluator {
  return new Evaluator(context, () => new SamplerStandIn(), poolThreads);
}

describe('a step', () => {
  it('is one batch in the order of the ids, and its outcomes are in the order that was asked for', async () => {
    const context = new NativeStandIn();
    const sequences = [0, 1, 2].map((id) => new Sequence(id, context));
    const outcomes = await evaluatorOf(context).evaluate([
      { sequence: sequences[2]!, tokens: tokens(7, 8), sampler: choosing(72) },
      { sequence: sequences[0]!, tokens: tokens(5), sampler: choosing(70) },
      { sequence: sequences[1]!, tokens: tokens(1, 2, 3) },
    ]);
    expect(context.calls.slice(0, 5)).toEqual(['batch of 6', '0@0: 5', '1@0: 1 2 3', '2@0: 7 8', 'evaluate']);
    expect(outcomes).toEqual([{ chosen: [{ token: 72 }] }, { chosen: [{ token: 70 }] }, { chosen: [] }]);
    expect(sequences.map(({ length }) => length)).toEqual([1, 3, 2]);
  });

  it('goes on behind what a sequence has', async () => {
    const context = new NativeStandIn();
    const sequence = new Sequence(3, context);
    const evaluator = evaluatorOf(context);
    await evaluator.evaluate([{ sequence, tokens: tokens(1, 2, 3) }]);
    await evaluator.evaluate([{ sequence, tokens: tokens(4), sampler: choosing(5) }]);
    expect(context.calls).toContain('3@3: 4');
    expect(sequence.tokens).toEqual([1, 2, 3, 4]);
    expect(evaluator.batches).toBe(2);
  });

  it('queues the choice behind the evaluation where one thread takes both, and waits for it elsewhere', async () => {
    for (const [poolThreads, order] of [
      ['1', ['evaluate', 'choose 0', 'evaluated']],
      ['4', ['evaluate', 'evaluated', 'choose 0']],
    ] as const) {
      const context = new NativeStandIn();
      const sequence = new Sequence(0, context);
      await evaluatorOf(context, poolThreads).evaluate([
        { sequence, tokens: tokens(1), sampler: choosing(2) },
      ]);
      expect(context.calls.slice(2)).toEqual(order);
    }
  });

  it('leaves the sequences as they were when it fails, also one that had nothing', async () => {
    const context = new NativeStandIn();
    const [began, fresh] = [new Sequence(0, context), new Sequence(1, context)];
    const evaluator = evaluatorOf(context);
    await evaluator.evaluate([{ sequence: began, tokens: tokens(1, 2) }]);
    context.failure = new Error('no slot');
    const failing = evaluator.evaluate([
      { sequence: began, tokens: tokens(3), sampler: choosing() },
      { sequence: fresh, tokens: tokens(4, 5), sampler: choosing() },
    ]);
    await expect(failing).rejects.toThrow('no slot');
    expect([began.length, fresh.length]).toEqual([2, 0]);
    expect([context.cells.get(0), context.cells.get(1)]).toEqual([2, undefined]);
    context.failure = undefined;
    await evaluator.evaluate([{ sequence: fresh, tokens: tokens(6) }]);
    expect(context.calls).toContain('1@0: 6');
  });

  it('says who has no token to choose from; the others have theirs', async () => {
    const context = new NativeStandIn();
    const [first, second] = [0, 1].map((id) => new Sequence(id, context));
    const [none, one] = await evaluatorOf(context).evaluate([
      { sequence: first!, tokens: tokens(1), sampler: choosing() },
      { sequence: second!, tokens: tokens(1), sampler: choosing(9) },
    ]);
    expect(String(none!.error)).toContain('no token is left');
    expect(one).toEqual({ chosen: [{ token: 9 }] });
  });

  it('reads the log-probabilities of what was chosen, likeliest first', async () => {
    const context = new NativeStandIn();
    context.logits = [1, 3, 2];
    const sequence = new Sequence(0, context);
    const [outcome] = await evaluatorOf(context).evaluate([
      { sequence, tokens: tokens(1), sampler: choosing(2), topLogprobs: 2 },
    ]);
    const total = Math.exp(1) + Math.exp(3) + Math.exp(2);
    const { token, top } = outcome!.chosen[0]!.logprobs!;
    expect(token).toEqual({ token: 2, logprob: expect.closeTo(Math.log(Math.exp(2) / total)) });
    expect(top.map((one) => one.token)).toEqual([1, 2]);
    expect(top[0]!.logprob).toBeCloseTo(Math.log(Math.exp(3) / total));
  });

  it('keeps guesses as far as the sampler chooses the same, and chooses one more', async () => {
    const context = new NativeStandIn();
    const [guessed, plain] = [0, 1].map((id) => new Sequence(id, context));
    const sampler = choosing(2, 3, 9, 4);
    const outcomes = await evaluatorOf(context).evaluate([
      { sequence: guessed!, tokens: tokens(1), sampler, draft: tokens(2, 3, 4) },
      { sequence: plain!, tokens: tokens(5), sampler: choosing(6) },
    ]);
    expect(outcomes).toEqual([
      { chosen: [{ token: 2 }, { token: 3 }, { token: 9 }] },
      { chosen: [{ token: 6 }] },
    ]);
    expect(context.calls).toEqual(expect.arrayContaining(['batch of 5', '0@0: 1 2 3 4']));
    expect(guessed!.tokens).toEqual([1, 2, 3]);
    expect(context.cells.get(0)).toBe(3);
    // What was not asked for stays for the next step: a sampler takes in what it chooses.
    expect((sampler.native as SamplerStandIn).choices).toEqual([4]);
  });

  it('chooses one behind guesses that are all right', async () => {
    const context = new NativeStandIn();
    const sequence = new Sequence(0, context);
    const [outcome] = await evaluatorOf(context).evaluate([
      { sequence, tokens: tokens(1), sampler: choosing(2, 3, 4, 5), draft: tokens(2, 3) },
    ]);
    expect(outcome).toEqual({ chosen: [{ token: 2 }, { token: 3 }, { token: 4 }] });
    expect(sequence.tokens).toEqual([1, 2, 3]);
    expect(context.calls).not.toContain('forget 0 from 3');
  });

  it('reads the log-probabilities of every token that was chosen', async () => {
    const context = new NativeStandIn();
    context.logits = [1, 3, 2];
    const sequence = new Sequence(0, context);
    const [outcome] = await evaluatorOf(context).evaluate([
      { sequence, tokens: tokens(1), sampler: choosing(2, 1), draft: tokens(2, 0), topLogprobs: 1 },
    ]);
    expect(outcome!.chosen.map(({ logprobs }) => logprobs!.token.token)).toEqual([2, 1]);
    expect(context.calls.filter((call) => call.startsWith('read'))).toEqual(['read 0', 'read 1']);
  });

  it('has the guesses before a choice that fails, and says that it failed', async () => {
    const context = new NativeStandIn();
    const sequence = new Sequence(0, context);
    const [outcome] = await evaluatorOf(context).evaluate([
      { sequence, tokens: tokens(1), sampler: choosing(2), draft: tokens(2, 3) },
    ]);
    expect(outcome!.chosen).toEqual([{ token: 2 }]);
    expect(String(outcome!.error)).toContain('no token is left');
  });
});
