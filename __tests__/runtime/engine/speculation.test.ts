import type { Token } from '../../../runtime/src/engine/native';
import type { Draft } from '../../../runtime/src/engine/prompt-lookup';
import { BatchTimes } from '../../../runtime/src/engine/small-batches';
import { Speculation, type Answer } from '../../../runtime/src/engine/speculation';

/** As measured on two cores: a 1B model, and SmolLM2. */
const LARGE = new Speculation(new BatchTimes({ one: 47, three: 86, four: 55, eight: 99 }));
const SMALL = new Speculation(new BatchTimes({ one: 8.5, three: 13.5, four: 13.5, eight: 22 }));

/** An answer with a guess that is expected to be right so often. */
function answer(sequence: number, expected: number | undefined, room = 100): Answer {
  return {
    sequence: { id: sequence },
    room,
    draft: (count): Draft | undefined =>
      expected === undefined
        ? undefined
        : { tokens: Array<Token>(count).fill(7 as Token), matched: 1, expected },
  };
}

it('guesses three tokens beside one answer, where they are worth their time', () => {
  expect(LARGE.choose([answer(2, 0.3)], [2])).toMatchObject({ count: 3, drafts: [{ tokens: [7, 7, 7] }] });
  expect(SMALL.choose([answer(2, 0.3)], [2])).toBeUndefined();
  expect(SMALL.choose([answer(2, 0.9)], [2])).toMatchObject({ count: 3 });
  expect(LARGE.choose([answer(2, 0.1)], [2])).toBeUndefined();
});

it('guesses one token beside each of two answers, also where only one has a guess', () => {
  expect(LARGE.choose([answer(0, 0.3), answer(1, undefined)], [0, 1, 2, 3])).toMatchObject({
    count: 1,
    drafts: [{ tokens: [7] }, undefined],
  });
  expect(SMALL.choose([answer(4, 0.6), answer(3, 0.5)], [3, 4])).toMatchObject({ count: 1 });
  expect(SMALL.choose([answer(4, 0.4), answer(3, undefined)], [3, 4])).toBeUndefined();
});

it('guesses nothing where it is not known how any goes on', () => {
  expect(LARGE.choose([answer(0, undefined)], [0])).toBeUndefined();
  expect(LARGE.choose([answer(0, undefined), answer(1, undefined)], [0, 1])).toBeUndefined();
});

/** A 1B model with kernels to which eight tokens are hardly more than one: what takes the time is to read the weights. */
const QUICK = new Speculation(new BatchTimes({ one: 34, three: 59, four: 39, eight: 48 }));

/** An answer each of whose guesses is right with this chance. */
function chancy(sequence: number, chance: number, room = 100): Answer {
  const expected = (count: number) => Array.from({ length: count }, (_, at) => chance ** (at + 1));
  return {
    sequence: { id: sequence },
    room,
    draft: (count) => ({
      tokens: Array<Token>(count).fill(7 as Token),
      matched: 5,
      expected: expected(count).reduce((sum, each) => sum + each, 0),
    }),
  };
}

it('guesses as many as are worth their time: seven where eight are evaluated about as soon as four', () => {
  expect(QUICK.choose([chancy(0, 0.9)], [0])).toMatchObject({ count: 7 });
  expect(QUICK.choose([chancy(0, 0.5)], [0])).toMatchObject({ count: 3 });
  expect(QUICK.choose([chancy(0, 0.1)], [0])).toBeUndefined();
  expect(LARGE.choose([chancy(0, 0.9)], [0])).toMatchObject({ count: 3 });
  expect(QUICK.choose([chancy(0, 0.9), chancy(1, 0.9)], [0, 1])).toMatchObject({ count: 3 });
  expect(QUICK.choose([chancy(0, 0.9, 7)], [0])).toMatchObject({ count: 3 });
});

it('guesses one token beside each of four answers where that pays', () => {
  const four = (chance: number) => [0, 1, 2, 3].map((id) => chancy(id, chance));
  expect(QUICK.choose(four(0.6), [0, 1, 2, 3])).toMatchObject({ count: 1 });
  expect(QUICK.choose(four(0.3), [0, 1, 2, 3])).toBeUndefined();
  expect(LARGE.choose(four(0.6), [0, 1, 2, 3])).toBeUndefined();
});

it('leaves three answers and more than four alone, and two that are evaluated apart', () => {
  for (const ids of [[0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7], [0, 2], []])
    expect(
      LARGE.choose(
        ids.map((id) => answer(id, 3)),
        ids,
      ),
    ).toBeUndefined();
});

it('guesses nothing that a sequence has no room for', () => {
  expect(LARGE.choose([answer(0, 3, 4)], [0])).toBeDefined();
  expect(LARGE.choose([answer(0, 3, 3)], [0])).toBeUndefined();
  expect(LARGE.choose([answer(0, 1), answer(1, 1, 1)], [0, 1])).toBeUndefined();
});
