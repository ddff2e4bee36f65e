import { BatchingStrategy, type BatchItem } from '../../../runtime/src/engine/batching-strategy';

const item = (sequence: number, tokens: number): BatchItem => ({
  tokens: new Array<number>(tokens).fill(0),
  evaluationPriority: sequence,
});

const order = (batch: readonly { item: BatchItem; processAmount: number }[]): [number, number][] =>
  batch.map(({ item, processAmount }) => [item.evaluationPriority, processAmount]);

describe('BatchingStrategy', () => {
  it('orders a batch by sequence, whatever order the items arrived in', () => {
    const strategy = new BatchingStrategy();
    strategy.expect(3);
    const batch = strategy.prioritize({ items: [item(2, 1), item(0, 1), item(1, 1)], size: 256 });
    expect(order(batch)).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
  });

  it('waits until every sequence of the step has queued its item', () => {
    const strategy = new BatchingStrategy();
    strategy.expect(2);
    expect(strategy.prioritize({ items: [item(1, 1)], size: 256 })).toEqual([]);
    expect(strategy.batches).toBe(0);
    expect(strategy.prioritize({ items: [item(1, 1), item(0, 1)], size: 256 })).toHaveLength(2);
    expect(strategy.batches).toBe(1);
  });

  it('does not wait for ever for an item that never comes', () => {
    const strategy = new BatchingStrategy();
    strategy.expect(2);
    let asked = 0;
    while (strategy.prioritize({ items: [item(0, 1)], size: 256 }).length === 0) asked++;
    expect(asked).toBeLessThan(100);
  });

  it('waits anew in each step', () => {
    const strategy = new BatchingStrategy();
    strategy.expect(2);
    while (strategy.prioritize({ items: [item(0, 1)], size: 256 }).length === 0);
    strategy.expect(2);
    expect(strategy.prioritize({ items: [item(0, 1)], size: 256 })).toEqual([]);
  });

  it('never puts more into a batch than fits', () => {
    const strategy = new BatchingStrategy();
    strategy.expect(3);
    const batch = strategy.prioritize({ items: [item(1, 200), item(0, 100), item(2, 50)], size: 256 });
    expect(order(batch)).toEqual([
      [0, 100],
      [1, 156],
    ]);
  });
});
