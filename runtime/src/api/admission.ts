/**
 * The door of a model: at most `sequences + maxQueue` requests are inside. A bounded line keeps waits and memory bounded, and
 * tells those outside when to come back.
 */
import type { Engine, EngineState } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { ENGINE_RETRY_SECONDS, engineUnavailable } from '../errors/from-engine.js';
import { Departures } from './departures.js';
import { LineOutside } from './line-outside.js';

/** Why work on a request was stopped from outside. */
export type StopReason = 'client_left' | 'deadline' | 'shutdown';

/** One admitted request. */
export interface Ticket {
  /** Aborted, with a StopReason, when work on the request should end. */
  readonly signal: AbortSignal;
  stop(reason: StopReason): void;
  /** Frees the place. `hadSequence`: it did not only wait for one. */
  release(hadSequence?: boolean): void;
}

/** Whose request it is, and how many at once the access policy allows. Infinity: no limit of its own. */
export interface Holder {
  /** A token's id, or what stands for the API key. */
  readonly key: string;
  readonly overall: number;
  readonly perToken: number;
}

/** Who is inside, whichever model answers: what the access policy limits. */
export class Sessions {
  #overall = 0;
  /** By the holder's key. */
  readonly #held = new Map<string, number>();
  /** Those who were refused because of all. */
  readonly line = new LineOutside();
  /** Those who were refused because of one holder, by its key. */
  readonly #lines = new Map<string, LineOutside>();

  get overall(): number {
    return this.#overall;
  }

  of(key: string): number {
    return this.#held.get(key) ?? 0;
  }

  count(key: string, change: 1 | -1): void {
    this.#overall += change;
    const count = this.of(key) + change;
    if (count > 0) this.#held.set(key, count);
    else this.#held.delete(key);
  }

  /** `now`, in seconds: lines whose members have all had their time are dropped, so there are never many. */
  lineOf(key: string, now: number): LineOutside {
    for (const [other, line] of this.#lines) if (line.isOver(now)) this.#lines.delete(other);
    const line = this.#lines.get(key) ?? new LineOutside();
    this.#lines.set(key, line);
    return line;
  }
}

export class Admission {
  readonly #engine: Engine;
  readonly #maxQueue: number;
  readonly #inside = new Set<Ticket>();
  readonly #sessions: Sessions;
  readonly #departures: Departures;
  readonly #now: () => number;
  #closed = false;
  /** When an engine that has failed is started again, by the clock; requests are told. */
  #retryAt = 0;
  readonly #onEmpty = new Set<() => void>();

  /** `sessions`: shared by the doors of all models. `now`: a clock, in seconds. */
  constructor(
    engine: Engine,
    maxQueue: number,
    sessions = new Sessions(),
    now = () => performance.now() / 1000,
  ) {
    this.#engine = engine;
    this.#maxQueue = maxQueue;
    this.#sessions = sessions;
    this.#now = now;
    this.#departures = new Departures(() => engine.model.sequences, now);
  }

  get inside(): number {
    return this.#inside.size;
  }

  get capacity(): number {
    return this.#engine.model.sequences + this.#maxQueue;
  }

  /**
   * `controller`: what stops the request from outside too.
   * @throws ApiError 503 while the engine cannot work, 429 when the line, or the holder's share of it, is full
   */
  enter(holder?: Holder, controller = new AbortController()): Ticket {
    if (this.#closed)
      throw new ApiError('shutting_down', { retryAfter: 5, headers: { Connection: 'close' } });
    const { state } = this.#engine.status();
    // While models change places, requests wait as they do for a sequence.
    if (state !== 'ready' && state !== 'switching') throw this.#unavailable(state);
    if (holder !== undefined) this.#checkShare(holder);
    if (this.#inside.size >= this.capacity) throw this.#busy();

    const ticket: Ticket = {
      signal: controller.signal,
      stop: (reason) => controller.abort(reason),
      release: (hadSequence = false) => {
        if (!this.#inside.has(ticket)) return;
        this.#departures.count(this.inside);
        if (hadSequence) this.#departures.end();
        this.#inside.delete(ticket);
        if (holder !== undefined) this.#sessions.count(holder.key, -1);
        if (this.#inside.size === 0) for (const tell of this.#onEmpty) tell();
      },
    };
    this.#departures.count(this.inside);
    this.#inside.add(ticket);
    if (holder !== undefined) this.#sessions.count(holder.key, 1);
    return ticket;
  }

  /** The engine has failed, and is started again in so many seconds. */
  retryIn(seconds: number): void {
    this.#retryAt = this.#now() + seconds;
  }

  /** Lets nobody in any more; resolves when the last one inside has left, all of them stopped after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    this.#closed = true;
    await this.quiet(limitMs);
  }

  /** Resolves when nobody is inside; all who are stopped after `limitMs`. */
  async quiet(limitMs: number): Promise<void> {
    if (this.#inside.size === 0) return;
    let tell = (): void => undefined;
    const empty = new Promise<void>((resolve) => (tell = resolve));
    this.#onEmpty.add(tell);
    const timer = setTimeout(() => {
      for (const ticket of this.#inside) ticket.stop('shutdown');
    }, limitMs);
    await empty;
    this.#onEmpty.delete(tell);
    clearTimeout(timer);
  }

  #checkShare({ key, overall, perToken }: Holder): void {
    const sessions = this.#sessions;
    if (sessions.of(key) >= perToken)
      throw this.#tooMany(perToken, 'with this token', sessions.lineOf(key, this.#now()));
    if (sessions.overall >= overall) throw this.#tooMany(overall, 'in all', sessions.line);
  }

  #tooMany(limit: number, whose: string, line: LineOutside): ApiError {
    const seconds = this.#departures.tellOfShare(line, limit, this.inside);
    return new ApiError('too_many_sessions', { values: { limit, whose, seconds }, retryAfter: seconds });
  }

  #unavailable(state: EngineState): ApiError {
    if (state !== 'failed') return engineUnavailable(state);
    const seconds = Math.ceil(this.#retryAt - this.#now());
    return engineUnavailable(state, Math.max(ENGINE_RETRY_SECONDS, seconds));
  }

  #busy(): ApiError {
    const sequences = this.#engine.model.sequences;
    const waiting = Math.max(0, this.#inside.size - sequences);
    const seconds = this.#departures.tell(this.inside);
    return new ApiError('server_busy', { values: { sequences, waiting, seconds }, retryAfter: seconds });
  }
}
