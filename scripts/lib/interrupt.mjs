// @ts-check
/**
 * Ctrl-C during the set-up: what it started ends first, its lock is released after that, then it ends itself. The
 * other way round, a set-up started at once would work in the same folders as an npm that is still at it.
 */

const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
const controller = new AbortController();

/** Fires when the person, or the system, wants the set-up to end. */
export const interruption = controller.signal;

/** Thrown by whatever was under way at that moment. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}

export function throwIfInterrupted() {
  if (interruption.aborted) throw new Interrupted();
}

/**
 * Runs `work` so that a signal makes it throw Interrupted, once it has put its things in order.
 *
 * @param {() => Promise<void>} work
 */
export async function interruptible(work) {
  // Stays for repeats: inside `npm run`, one Ctrl-C arrives twice, from the terminal and from npm.
  const interrupt = () => controller.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  try {
    await work();
    throwIfInterrupted();
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, interrupt);
  }
}
