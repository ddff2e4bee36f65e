/**
 * Opens the iterable when its first element is asked for, then hands its elements through as they are: an `async *`
 * function that ends in `yield*` does the same, at three turns of the microtask queue for each element. For one
 * `for await`, which asks for one element at a time.
 */
export function lazily<T>(open: () => AsyncIterable<T> | Promise<AsyncIterable<T>>): AsyncIterable<T> {
  let iterator: AsyncIterator<T> | undefined;
  const first = async (): Promise<IteratorResult<T>> => {
    iterator = (await open())[Symbol.asyncIterator]();
    return iterator.next();
  };
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => (iterator === undefined ? first() : iterator.next()),
      return: async () => {
        await iterator?.return?.();
        return { done: true, value: undefined };
      },
    }),
  };
}
