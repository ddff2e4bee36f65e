import { DecodeThreads } from './decode-threads.js';
import { IdleMeter, SPARE } from './idle-meter.js';

export interface ThreadGovernorOptions {
  /** Threads to evaluate with when the machine is ours. */
  readonly most: number;
  readonly setThreads: (threads: number) => void;
  /** Milliseconds of processor time that this process has used. */
  readonly cpuMs?: () => number;
  /** Milliseconds that the machine's processors were idle, all together; `undefined` where that is not known. */
  readonly idleMs?: () => number | undefined;
  readonly now?: () => number;
}

/** Evaluation time that one judgement is based on. */
const WINDOW_MS = 100;
/** Threads that got less of a processor than this were waiting for one: at 0.5, two do a quarter of their work. */
const CONTENDED = 0.7;
/** Windows in a row that show contention before a thread is let go: something short is over by then. */
const STRIKES = 2;
/** How often it is asked whether a processor is idle; doubles each time that adding a thread was a mistake. */
const FIRST_HOLD_MS = 250;
const LONGEST_HOLD_MS = 8000;
/**
 * How often a thread is added although no processor is idle: this process may have precedence over what keeps them
 * busy (systemd's CPUWeight), which only shows when it is tried. Doubles with each try in vain, that costs a second.
 */
const FIRST_TRY_MS = 1000;
const LONGEST_TRY_MS = 64_000;

/**
 * Evaluates with fewer threads while other programs compete for the processors.
 *
 * llama.cpp's threads meet at a barrier some hundred times a token and spin there. When one of them is not running
 * because another program has its processor, the others spin in vain: measured on two busy cores, two threads gave
 * 1 to 14 tokens/s where one gave 23 to 39. A thread that waits for a processor shows in the process's processor
 * time, which is then less than threads times elapsed time.
 */
export class ThreadGovernor {
  readonly #options: Required<Omit<ThreadGovernorOptions, 'idleMs'>> & Pick<ThreadGovernorOptions, 'idleMs'>;
  readonly #decode: DecodeThreads;
  #threads: number;
  /** What is set: `#threads`, or fewer for a step in which sequences decode. */
  #inUse: number;
  #decoding = 0;
  #usedMs = 0;
  #wantedMs = 0;
  #stepStart = { now: 0, cpuMs: 0 };
  readonly #idle: IdleMeter;
  #holdMs = FIRST_HOLD_MS;
  #tryMs = FIRST_TRY_MS;
  #changedAt: number;
  #strikes = 0;
  #raisedAt = -Infinity;

  constructor(options: ThreadGovernorOptions) {
    this.#options = { cpuMs: processCpuMs, now: () => performance.now(), ...options };
    this.#threads = this.#inUse = options.most;
    const { most, now, idleMs } = this.#options;
    this.#decode = new DecodeThreads({ most, now, idle: new IdleMeter(now, idleMs) });
    this.#changedAt = this.#options.now();
    this.#idle = new IdleMeter(now, idleMs);
  }

  /** Most that a step gets now. */
  get threads(): number {
    return this.#threads;
  }

  /**
   * @param decoding how many sequences decode; 0 while a prompt is read, which is always faster with more threads
   * @param mayTry another number of threads; not while a prompt makes the answers' gaps long enough
   */
  stepBegins(decoding = 0, mayTry = true): void {
    this.#decoding = decoding;
    this.#use(decoding === 0 ? this.#threads : this.#decode.choose(decoding, this.#threads, mayTry));
    this.#stepStart = { now: this.#options.now(), cpuMs: this.#options.cpuMs() };
  }

  stepEnds(): void {
    const now = this.#options.now();
    const elapsed = now - this.#stepStart.now;
    this.#usedMs += this.#options.cpuMs() - this.#stepStart.cpuMs;
    this.#wantedMs += elapsed * this.#inUse;
    if (this.#decoding > 0) this.#decode.record(this.#decoding, this.#inUse, elapsed);
    if (this.#wantedMs < WINDOW_MS * this.#threads) return;
    const got = this.#usedMs / this.#wantedMs;
    // One step that takes seconds is as good as many windows.
    const windows = Math.floor(this.#wantedMs / (WINDOW_MS * this.#threads));
    this.#usedMs = this.#wantedMs = 0;
    this.#strikes = got < CONTENDED ? this.#strikes + windows : 0;
    const soon = now - this.#raisedAt < 2 * this.#holdMs;
    if (this.#threads > 1 && this.#strikes >= (soon ? 1 : STRIKES)) this.#lower(got, soon);
    else if (this.#threads < this.#options.most) this.#raiseIfPossible(now);
  }

  /** `soon`: after a thread was added, which then was a mistake. */
  #lower(got: number, soon: boolean): void {
    this.#holdMs = soon ? Math.min(LONGEST_HOLD_MS, this.#holdMs * 2) : FIRST_HOLD_MS;
    this.#tryMs = soon ? Math.min(LONGEST_TRY_MS, this.#tryMs * 2) : FIRST_TRY_MS;
    this.#set(clamp(Math.round(this.#threads * got), 1, this.#threads - 1));
  }

  #raiseIfPossible(now: number): void {
    if (this.#idle.elapsedMs < this.#holdMs) return;
    const spare = this.#idle.spare() ?? 1;
    if (spare < SPARE && now - this.#changedAt < this.#tryMs) {
      this.#idle.mark();
      return;
    }
    this.#raisedAt = now;
    this.#set(clamp(this.#threads + Math.max(1, Math.floor(spare)), 1, this.#options.most));
  }

  #set(threads: number): void {
    this.#threads = threads;
    this.#strikes = 0;
    this.#changedAt = this.#options.now();
    this.#usedMs = this.#wantedMs = 0;
    this.#use(threads);
    this.#idle.mark();
  }

  #use(threads: number): void {
    if (threads === this.#inUse) return;
    this.#inUse = threads;
    this.#options.setThreads(threads);
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
