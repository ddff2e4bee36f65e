import { chooseSequence, countRuns, type FreeSequence } from '../../../runtime/src/engine/sequence-pool';

const free = (id: number, prefix = 0, lastUsed = 0): FreeSequence => ({ id, prefix, lastUsed });

describe('countRuns', () => {
  it('counts runs of consecutive ids', () => {
    expect(countRuns([])).toBe(0);
    expect(countRuns([0, 1, 2, 3])).toBe(1);
    expect(countRuns([3, 1, 2])).toBe(1);
    expect(countRuns([0, 2, 4, 6])).toBe(4);
    expect(countRuns([0, 1, 3])).toBe(2);
  });
});

describe('chooseSequence', () => {
  it('finds nothing when nothing is free', () => {
    expect(chooseSequence([], [0, 1])).toBeUndefined();
  });

  it('takes the longest evaluated prefix when nothing runs', () => {
    expect(chooseSequence([free(0, 3), free(1, 90), free(2, 12)], [])?.id).toBe(1);
  });

  it('extends the run of sequences that are in use', () => {
    expect(chooseSequence([free(0), free(3)], [1])?.id).toBe(0);
    expect(chooseSequence([free(2, 5), free(3, 50)], [0, 1])?.id).toBe(2);
  });

  it('fills the gap when a sequence in the middle ended', () => {
    expect(chooseSequence([free(2), free(4, 100), free(5)], [0, 1, 3])?.id).toBe(2);
  });

  it('prefers the longest prefix among those that extend the run', () => {
    expect(chooseSequence([free(0, 10), free(3, 40), free(4, 99)], [1, 2])?.id).toBe(3);
  });

  it('overwrites the longest unused of equals', () => {
    expect(chooseSequence([free(0, 0, 7), free(1, 0, 2), free(2, 0, 5)], [])?.id).toBe(1);
  });
});
