import { rowsOf, table } from '../../bench/report';

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
