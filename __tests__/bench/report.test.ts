import { rowOf, type OwnScenario } from '../../bench/own-scenarios';
import { ownTable, rowsOf, table } from '../../bench/report';

describe('rowsOf', () => {
  it('takes the ratio in each round, so that noise which both saw cancels out', () => {
    const [row] = rowsOf('1b', { decode: { ours: [20, 10, 40], theirs: [10, 5, 20] } });
    expect(row?.ratio).toEqual({ median: 2, min: 2, max: 2 });
    expect(row).toMatchObject({ target: 1, reached: true });
  });

  it('knows that a gap has to be small and a rate large', () => {
    const reached = (name: 'worst-gap' | 'prefill', ours: number): boolean | undefined =>
      rowsOf('135m', { [name]: { ours: [ours], theirs: [1] } })[0]?.reached;
    expect([reached('worst-gap', 0.2), reached('worst-gap', 0.21)]).toEqual([true, false]);
    expect([reached('prefill', 1.2), reached('prefill', 1.19)]).toEqual([true, false]);
  });

  it('judges nothing that has no target', () => {
    expect(rowsOf('135m', { newcomer: { ours: [2], theirs: [1] } })[0]?.reached).toBeUndefined();
  });
});

describe('table', () => {
  it('is Markdown with one line for each figure', () => {
    const lines = table(
      rowsOf('135m', { 'four-users': { ours: [300, 290, 310], theirs: [150, 150, 150] } }),
    ).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[2]?.split('|').map((cell) => cell.trim())).toEqual([
      '',
      'decode, four users, total, tokens/s',
      '300 (290-310)',
      '150',
      '2.00 (1.93-2.07)',
      '>= 1.5',
      'yes',
      '',
    ]);
  });
});

describe('what is measured on our service alone', () => {
  const scenario = (share: 0.5 | 0.99): OwnScenario => ({
    name: 'x',
    title: 'an answer',
    target: { share, ms: 2 },
    measure: () => Promise.resolve([]),
  });
  /** Ninety-eight of 1 ms and two of 9. */
  const values = Array.from({ length: 100 }, (_, index) => (index < 98 ? 1 : 9));

  it('is judged by the percentile that its target names', () => {
    expect(rowOf(scenario(0.5), values)).toMatchObject({ p50: 1, p99: 9, reached: true });
    expect(rowOf(scenario(0.99), values)).toMatchObject({ reached: false });
  });

  it('is a table of its own', () => {
    expect(
      ownTable([rowOf(scenario(0.99), values)])
        .split('\n')[2]
        ?.split('|')
        .map((cell) => cell.trim()),
    ).toEqual(['', 'an answer', '100', '1.00', '1.00', '9.00', 'p99 <= 2', 'no', '']);
  });
});
