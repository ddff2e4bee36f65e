import { SPARE, type IdleMeter } from './idle-meter.js';

export interface DecodeThreadsOptions {
  readonly most: number;
  readonly now: () => number;
  readonly idle: IdleMeter;
}

/** Steps whose median is one side of a comparison. */
const KNOWN_STEPS = 8;
const TRIAL_STEPS = 5;
/** A change has to be worth it: steps differ by as much for no reason. */
const BETTER = 0.9;
/** Steps that take this many times what they took at the last trial: something has changed, it is time for another. */
const WORSE = 1.3;
/**
 * A step that takes this many times the usual ends the trial: on a calm machine, where half of the threads take 1.6 to 1.9
 * times as long, a trial costs no more than that step, and on a busy one two threads can take seconds.
 */
const HOPELESS = 1.5;
/** Between two trials; doubles with each that changed nothing, so that on a calm machine they cost a thousandth. */
const FIRST_INTERVAL_MS = 1000;
const LONGEST_INTERVAL_MS = 32_000;

/** Steps from before such a pause are compared with nothing: the machine may be another by now. */
const FORGET_MS = 2000;

/** What is known of steps in which so many sequences decode. */
interface Known {
  threads: number;
  recentMs: number[];
  /** Median of the steps before the last trial. */
  usualMs: number;
  trial: { readonly threads: number; readonly stepMs: number[] } | undefined;
  lastStep: number;
  lastTrial: number;
  intervalMs: number;
  /** Where both more and fewer can be tried: which it was. */
  triedFewer: boolean;
}

/**
 * Finds out by trying how many threads decode fastest.
 *
 * The threads of an evaluation meet at a barrier some hundred times a token. Where the processors are not what they seem
 * (two hyperthreads of one core, a host that runs other machines on them), waiting there costs more than the second
 * thread brings, and nothing in the machine's own figures shows it: on such a host one user got 45 tokens/s with two
 * threads and 80 with one, four users 145 and 124. So a few steps are evaluated with another number now and then, and
 * what was faster is kept, apart for each number of sequences.
 */
export class DecodeThreads {
  readonly #most: number;
  readonly #now: () => number;
  readonly #idle: IdleMeter;
  readonly #known = new Map<number, Known>();

  constructor({ most, now, idle }: DecodeThreadsOptions) {
    this.#most = most;
    this.#now = now;
    this.#idle = idle;
  }

  /** Threads for a step in which `sequences` decode, `allowed` at most. `mayTry`: whether the step may take longer. */
  choose(sequences: number, allowed: number, mayTry = true): number {
    const known = this.#of(sequences);
    if (this.#now() - known.lastStep > FORGET_MS) {
      known.recentMs = [];
      known.trial = undefined;
    }
    if (mayTry && known.trial === undefined && allowed === this.#most && this.#isTimeFor(known)) {
      this.#beginTrial(known);
    }
    const tried = mayTry ? known.trial?.threads : undefined;
    return Math.min(tried ?? known.threads, allowed);
  }

  /** What the step took with the threads that were chosen for it. */
  record(sequences: number, threads: number, elapsedMs: number): void {
    const known = this.#of(sequences);
    known.lastStep = this.#now();
    if (known.trial !== undefined && known.trial.threads === threads) {
      known.trial.stepMs.push(elapsedMs);
      if (isSettled(known.trial.stepMs, median(known.recentMs))) this.#judge(known, known.trial);
    } else if (threads === known.threads) {
      known.recentMs.push(elapsedMs);
      if (known.recentMs.length > KNOWN_STEPS) known.recentMs.shift();
    }
  }

  #of(sequences: number): Known {
    let known = this.#known.get(sequences);
    if (known === undefined) {
      known = {
        threads: this.#most,
        recentMs: [],
        usualMs: Infinity,
        trial: undefined,
        lastStep: -Infinity,
        lastTrial: -Infinity,
        intervalMs: FIRST_INTERVAL_MS,
        triedFewer: false,
      };
      this.#known.set(sequences, known);
    }
    return known;
  }

  #isTimeFor({ recentMs, lastTrial, intervalMs, usualMs }: Known): boolean {
    if (this.#most === 1 || recentMs.length < KNOWN_STEPS) return false;
    const since = this.#now() - lastTrial;
    return since >= intervalMs || (since >= FIRST_INTERVAL_MS && median(recentMs) > WORSE * usualMs);
  }

  #beginTrial(known: Known): void {
    const threads = this.#other(known);
    // A thread more is tried only where a processor was idle.
    const spare = this.#idle.spare() ?? 1;
    this.#idle.mark();
    if (threads > known.threads && spare < SPARE) known.lastTrial = this.#now();
    else known.trial = { threads, stepMs: [] };
  }

  #other(known: Known): number {
    const fewer = Math.ceil(known.threads / 2);
    const more = Math.min(this.#most, known.threads * 2);
    known.triedFewer = more === known.threads || (fewer < known.threads && !known.triedFewer);
    return known.triedFewer ? fewer : more;
  }

  #judge(known: Known, { threads, stepMs }: { readonly threads: number; readonly stepMs: number[] }): void {
    const before = median(known.recentMs);
    const tried = median(stepMs);
    const isBetter = stepMs.length === TRIAL_STEPS && tried < BETTER * before;
    known.trial = undefined;
    known.lastTrial = this.#now();
    known.usualMs = isBetter ? tried : before;
    known.intervalMs = isBetter ? FIRST_INTERVAL_MS : Math.min(LONGEST_INTERVAL_MS, 2 * known.intervalMs);
    if (!isBetter) return;
    known.threads = threads;
    known.recentMs = stepMs;
  }
}

/** Whether more steps could not change the verdict, or are not worth it. */
function isSettled(stepMs: readonly number[], usualMs: number): boolean {
  const notBetter = stepMs.filter((ms) => ms >= BETTER * usualMs).length;
  const isHopeless = (stepMs.at(-1) ?? 0) > HOPELESS * usualMs;
  return isHopeless || stepMs.length === TRIAL_STEPS || notBetter > TRIAL_STEPS / 2;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Infinity;
}
