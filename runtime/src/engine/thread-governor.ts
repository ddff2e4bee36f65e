import { readFileSync } from 'node:fs';

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
/** A processor idle for this part of the time can be used. */
const SPARE = 0.6;
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
  readonly #options: Required<ThreadGovernorOptions>;
  #threads: number;
  #usedMs = 0;
  #wantedMs = 0;
  #stepStart = { now: 0, cpuMs: 0 };
  #idleStart: { readonly now: number; readonly idleMs: number | undefined };
  #holdMs = FIRST_HOLD_MS;
  #tryMs = FIRST_TRY_MS;
  #changedAt: number;
  #strikes = 0;
  #raisedAt = -Infinity;

  constructor(options: ThreadGovernorOptions) {
    this.#options = { cpuMs: processCpuMs, idleMs: machineIdleMs, now: () => performance.now(), ...options };
    this.#threads = options.most;
    this.#changedAt = this.#options.now();
    this.#idleStart = { now: this.#options.now(), idleMs: this.#options.idleMs() };
  }

  get threads(): number {
    return this.#threads;
  }

  stepBegins(): void {
    this.#stepStart = { now: this.#options.now(), cpuMs: this.#options.cpuMs() };
  }

  stepEnds(): void {
    const now = this.#options.now();
    const elapsed = now - this.#stepStart.now;
    this.#usedMs += this.#options.cpuMs() - this.#stepStart.cpuMs;
    this.#wantedMs += elapsed * this.#threads;
    if (this.#wantedMs < WINDOW_MS * this.#threads) return;
    const got = this.#usedMs / this.#wantedMs;
    this.#usedMs = this.#wantedMs = 0;
    this.#strikes = got < CONTENDED ? this.#strikes + 1 : 0;
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
    if (now - this.#idleStart.now < this.#holdMs) return;
    const spare = this.#spareProcessors() ?? 1;
    if (spare < SPARE && now - this.#changedAt < this.#tryMs) {
      this.#markIdle();
      return;
    }
    this.#raisedAt = now;
    this.#set(clamp(this.#threads + Math.max(1, Math.floor(spare)), 1, this.#options.most));
  }

  /** Processors that were idle since the last change, as a number: 0.5 is one for half the time. */
  #spareProcessors(): number | undefined {
    const idleMs = this.#options.idleMs();
    const elapsed = this.#options.now() - this.#idleStart.now;
    if (idleMs === undefined || this.#idleStart.idleMs === undefined || elapsed <= 0) return undefined;
    return (idleMs - this.#idleStart.idleMs) / elapsed;
  }

  #set(threads: number): void {
    this.#threads = threads;
    this.#strikes = 0;
    this.#changedAt = this.#options.now();
    this.#usedMs = this.#wantedMs = 0;
    this.#options.setThreads(threads);
    this.#markIdle();
  }

  #markIdle(): void {
    this.#idleStart = { now: this.#options.now(), idleMs: this.#options.idleMs() };
  }
}

function processCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The fourth figure of /proc/stat, in ticks of 10 ms. Read at once: an asynchronous read waits behind evaluations. */
function machineIdleMs(): number | undefined {
  try {
    const idle = /^cpu\s+\d+ \d+ \d+ (\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1];
    return idle === undefined ? undefined : Number(idle) * 10;
  } catch {
    return undefined;
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
