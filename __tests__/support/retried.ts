/** For what crosses a network: another two tries, after some seconds each. */
export function retried<T>(attempt: () => T): T {
  for (const pauseMs of [3_000, 10_000]) {
    try {
      return attempt();
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    }
  }
  return attempt();
}
