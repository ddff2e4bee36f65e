/**
 * The door: at most `sequences + maxQueue` requests are inside. A bounded line keeps waits and memory bounded, and
 * tells those outside when to come back.
 */
import type { Engine } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { engineUnavailable } from '../errors/from-engine.js';

/** Why work on a request was stopped from outside. */
export type StopReason = 'client_left' | 'deadline' | 'shutdown';

/** One admitted request. */
export interface Ticket {
  /** Aborted, with a StopReason, when work on the request should end. */
  readonly signal: AbortSignal;
  stop(reason: StopReason): void;
  /** Frees the place; `workSeconds` is how long it held a sequence, if it got one. */
  release(workSeconds?: number): void;
}

const MAX_RETRY_SECONDS = 60;
/** A guess for the first requests, before any has ended. */
const FIRST_WORK_SECONDS = 5;
/** Weight of the newest request in the moving average. */
const NEWEST = 0.2;

export class Admission {
  readonly #engine: Engine;
  readonly #maxQueue: number;
  readonly #inside = new Set<Ticket>();
  #averageWorkSeconds = FIRST_WORK_SECONDS;
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(engine: Engine, maxQueue: number) {
    this.#engine = engine;
    this.#maxQueue = maxQueue;
  }

  get inside(): number {
    return this.#inside.size;
  }

  get capacity(): number {
    return this.#engine.model.sequences + this.#maxQueue;
  }

  /** @throws ApiError 503 while the engine cannot work, 429 when the line is full. */
  enter(): Ticket {
    if (this.#closed)
      throw new ApiError('shutting_down', { retryAfter: 5, headers: { Connection: 'close' } });
    const { state } = this.#engine.status();
    if (state !== 'ready') throw engineUnavailable(state);
    if (this.#inside.size >= this.capacity) throw this.#busy();

    const controller = new AbortController();
    const ticket: Ticket = {
      signal: controller.signal,
      stop: (reason) => controller.abort(reason),
      release: (workSeconds) => {
        if (!this.#inside.delete(ticket)) return;
        if (workSeconds !== undefined) {
          this.#averageWorkSeconds += NEWEST * (workSeconds - this.#averageWorkSeconds);
        }
        if (this.#inside.size === 0) this.#onEmpty?.();
      },
    };
    this.#inside.add(ticket);
    return ticket;
  }

  /** Lets nobody in any more; resolves when the last one inside has left, all of them stopped after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    this.#closed = true;
    if (this.#inside.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const timer = setTimeout(() => {
      for (const ticket of this.#inside) ticket.stop('shutdown');
    }, limitMs);
    await empty;
    clearTimeout(timer);
  }

  #busy(): ApiError {
    const sequences = this.#engine.model.sequences;
    const waiting = Math.max(0, this.#inside.size - sequences);
    // The line ahead moves `sequences` places per average request.
    const estimate = Math.ceil((this.#averageWorkSeconds * (waiting + 1)) / sequences);
    const seconds = Math.min(MAX_RETRY_SECONDS, Math.max(1, estimate));
    return new ApiError('server_busy', { values: { sequences, waiting, seconds }, retryAfter: seconds });
  }
}
