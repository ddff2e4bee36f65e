import { BatchFilling } from '../../../runtime/src/engine/batch-filling';
import { BatchTimes } from '../../../runtime/src/engine/small-batches';

const idle = (...ids: number[]): ReadonlySet<number> => new Set(ids);
/** As measured on two cores. */
const LARGE = new BatchFilling(new BatchTimes({ one: 45, three: 86, four: 55, eight: 95 }));
const SMALL = new BatchFilling(new BatchTimes({ one: 5.5, three: 10.5, four: 9.5, eight: 16 }));
/** Weights that are multiplied one by one. */
const PLAIN = new BatchFilling(new BatchTimes({ one: 45, three: 86, four: 106, eight: 188 }));

it('evaluates a fourth along with three, and an eighth with seven', () => {
  for (const filling of [LARGE, SMALL]) {
    expect(filling.choose([0, 1, 2], idle(3, 4, 5))).toEqual([3]);
    expect(filling.choose([5, 6, 7], idle(0, 1, 2, 3, 4))).toEqual([4]);
    expect(filling.choose([0, 1, 2, 3, 4, 5, 6], idle(7))).toEqual([7]);
  }
});

it('leaves alone what is as fast without', () => {
  for (const running of [[0], [0, 1, 2, 3], [0, 1, 2, 3, 4]])
    expect(LARGE.choose(running, idle(5, 6, 7))).toEqual([]);
  expect(LARGE.choose([0, 1], idle(2, 3))).toEqual([2, 3]);
  expect(SMALL.choose([0, 1], idle(2, 3))).toEqual([]);
  expect(PLAIN.choose([0, 1, 2], idle(3))).toEqual([]);
});

it('fills the gaps between running ones where that is one evaluation instead of two', () => {
  expect(SMALL.choose([0, 1, 3], idle(2))).toEqual([2]);
  expect(LARGE.choose([0, 3], idle(1, 2))).toEqual([1, 2]);
  expect(LARGE.choose([0, 1, 3], idle(2))).toEqual([2]);
  expect(PLAIN.choose([0, 7], idle(1, 2, 3, 4, 5, 6))).toEqual([]);
});

it('takes as many sequences as there have to be', () => {
  for (const filling of [LARGE, SMALL, PLAIN])
    for (const running of [[0], [1], [0, 1]])
      expect(filling.choose(running, idle(...[0, 1].filter((id) => !running.includes(id))))).toEqual([]);
  const tokensForNothing = new BatchFilling(new BatchTimes({ one: 10, three: 10, four: 10, eight: 10 }));
  expect(tokensForNothing.choose([0, 2], idle(1))).toHaveLength(1);
});

it('does without sequences that are in use or full', () => {
  expect(LARGE.choose([0, 1, 2], idle())).toEqual([]);
  expect(SMALL.choose([0, 1, 3], idle(4))).toEqual([]);
});
