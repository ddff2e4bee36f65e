/** Ctrl-C, SIGTERM and a terminal that goes away: what has changed nothing yet is ended by them, the rest is finished. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type EndingSignal = (typeof SIGNALS)[number];

/** Somebody ended the command before it had changed anything. */
export class Interrupted extends Error {
  /** As shells have it: 130 for Ctrl-C, 143 for SIGTERM. */
  readonly exitCode: number;

  constructor(signal: EndingSignal) {
    super(`ended by ${signal}, nothing was changed; run it again`);
    this.name = 'Interrupted';
    this.exitCode = 128 + constants.signals[signal];
  }
}

export interface Interruption {
  /** Fires with an `Interrupted` as its reason; never after `commit`. */
  readonly signal: AbortSignal;
  /** From here on the work is finished first. @throws Interrupted where a signal has come already */
  readonly commit: () => void;
}

/** Runs `work`, which ends itself, and takes back what it has done, when the signal fires. */
export async function whileInterruptible<T>(
  work: (interruption: Interruption) => Promise<T>,
  /** Told of a signal that comes after `commit`. */
  onLate: (signal: EndingSignal) => void = () => undefined,
): Promise<T> {
  const controller = new AbortController();
  let isCommitted = false;
  const onSignal = (signal: EndingSignal) => {
    if (isCommitted) onLate(signal);
    else controller.abort(new Interrupted(signal));
  };
  const commit = () => {
    controller.signal.throwIfAborted();
    isCommitted = true;
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work({ signal: controller.signal, commit });
  } catch (error) {
    // A stream that is aborted says so in its own words.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
