import { PromptCache, type CachedState } from '../../../runtime/src/engine/prompt-cache';

type Token = CachedState['tokens'][number];

const conversation = (first: number, length: number): Token[] =>
  Array.from({ length }, (_, i) => (i === 0 ? first : i) as Token);

/** A cache in which each token takes a byte. */
function cacheOf(limitBytes: number) {
  const cache = new PromptCache<CachedState & { readonly name: number }>(limitBytes);
  const disposed: number[] = [];
  let taken = 0;
  const keep = (tokens: readonly Token[], shortestPrefix = 0): Promise<void> =>
    cache.keep({ tokens, shortestPrefix }, () => {
      taken++;
      const name = tokens[0] as number;
      return Promise.resolve({
        name,
        tokens,
        shortestPrefix,
        bytes: tokens.length,
        dispose: () => void disposed.push(name),
      });
    });
  return { cache, keep, disposed, taken: () => taken };
}

describe('PromptCache', () => {
  it('finds the state with the longest shared beginning', async () => {
    const { cache, keep } = cacheOf(1000);
    await keep(conversation(1, 100));
    await keep([...conversation(1, 100), ...conversation(7, 100)]);
    await keep(conversation(2, 300));
    const found = cache.find([...conversation(1, 100), ...conversation(7, 50), 999 as Token]);
    expect(found).toMatchObject({ prefix: 150, state: { name: 1 } });
    expect(cache.find(conversation(3, 50))).toBeUndefined();
  });

  it('lets the longest unused go, and gives its memory back', async () => {
    const { cache, keep, disposed } = cacheOf(300);
    for (const first of [1, 2, 3]) await keep(conversation(first, 100));
    cache.touch(cache.find(conversation(1, 100))!.state);
    await keep(conversation(4, 100));
    expect(disposed).toEqual([2]);
    expect(cache.bytes).toBe(300);
    await keep(conversation(5, 200));
    expect(disposed).toEqual([2, 3, 1]);
    expect(cache.bytes).toBe(300);
    expect(cache.figures).toEqual({ limitBytes: 300, bytes: 300, conversations: 2, hits: 0, evictions: 3 });
    cache.take(cache.find(conversation(5, 200))!.state);
    expect(cache.figures).toMatchObject({ bytes: 100, conversations: 1, hits: 1 });
  });

  it('replaces an earlier turn of the same conversation', async () => {
    const { cache, keep, disposed } = cacheOf(1000);
    await keep(conversation(1, 100));
    await keep(conversation(1, 300));
    expect(disposed).toEqual([1]);
    expect([cache.size, cache.bytes]).toEqual([1, 300]);
  });

  it('finds nothing, nor anything in the place of another, that the model cannot go back to', async () => {
    const { cache, keep, taken } = cacheOf(1000);
    await keep(conversation(1, 200), 200);
    await keep(conversation(1, 150), 150);
    expect(cache.find(conversation(1, 199))).toMatchObject({ prefix: 150 });
    expect(cache.find(conversation(1, 149))).toBeUndefined();
    await keep(conversation(1, 400), 400);
    expect([taken(), cache.size]).toEqual([3, 3]);
    await keep(conversation(1, 220), 220); // the first 200 of them are there
    expect([taken(), cache.size]).toEqual([3, 3]);
  });

  it('does not copy what it has', async () => {
    const { cache, keep, taken } = cacheOf(1000);
    await keep(conversation(1, 300));
    await keep(conversation(1, 300));
    await keep(conversation(1, 310)); // a few tokens more are read again sooner than copied
    expect(taken()).toBe(1);
    expect(cache.size).toBe(1);
  });

  it('keeps nothing that is larger than it may be, and throws nothing out for it', async () => {
    const { cache, keep, disposed, taken } = cacheOf(300);
    await keep(conversation(1, 100));
    await keep(conversation(2, 400));
    expect([cache.size, disposed, taken()]).toEqual([1, [], 1]);
  });

  it('keeps nothing when it is off', async () => {
    const { cache, keep, taken } = cacheOf(0);
    await keep(conversation(1, 100));
    expect([cache.size, taken()]).toEqual([0, 0]);
  });

  it('goes on when there is no room for the copy', async () => {
    const cache = new PromptCache(1000);
    await cache.keep({ tokens: conversation(1, 100), shortestPrefix: 0 }, () => Promise.resolve(undefined));
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });
});
