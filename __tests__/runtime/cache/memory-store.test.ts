import { MemoryStore } from '../../../runtime/src/cache/memory-store';

describe('answers in memory', () => {
  test('are kept for as long as they may be', async () => {
    let now = 0;
    const store = new MemoryStore({ maxBytes: 10_000, ttlMs: 1000, now: () => now });
    await store.set('a', 'answer');
    now = 999;
    expect(await store.get('a')).toBe('answer');
    now = 1000;
    expect(await store.get('a')).toBeUndefined();
    expect(store.bytes).toBe(0);
  });

  test('take no more than they may: the least recently used go', async () => {
    const store = new MemoryStore({ maxBytes: 3000, ttlMs: 1000 });
    const answer = 'x'.repeat(350);
    for (const key of ['a', 'b', 'c']) await store.set(key, answer);
    await store.get('a');
    await store.set('d', answer);
    expect(store.bytes).toBeLessThanOrEqual(3000);
    expect(await store.get('b')).toBeUndefined();
    expect([await store.get('a'), await store.get('c'), await store.get('d')]).toEqual([
      answer,
      answer,
      answer,
    ]);
    await store.set('huge', 'x'.repeat(2000));
    expect(await store.get('huge')).toBeUndefined();
    expect(await store.get('a')).toBe(answer);
  });
});
