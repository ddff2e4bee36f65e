/** What a load run saw, the rules it is held to, and the tables it ends with. */
import type { Visit } from './load-clients.js';
import { percentile } from './statistics.js';

/** From here on memory must be flat: by then every sequence has been full and the prompt cache too. */
const WARM_MINUTES = 2;
/** A run shorter than that is judged from this part of it on. */
const WARM_SHARE = 0.4;
/** Largest over smallest sample, less one. */
const MOST_SPREAD = 0.05;

export interface MemorySample {
  /** Seconds since the load began. */
  readonly at: number;
  /** Memory of all processes of the service, files in /dev/shm included. */
  readonly mib: number;
}

/** What is seen after the load, when every client has gone. */
export interface Aftermath {
  readonly running: number;
  readonly waiting: number;
  /** Sequences that answered at the same time. */
  readonly answering: number;
}

export class LoadRecord {
  /** By outcome: statuses, `left`, `broken`. */
  readonly counts = new Map<Visit['outcome'], number>();
  readonly memory: MemorySample[] = [];
  tokens = 0;
  readonly #wholeMs: number[] = [];
  readonly #firstTextMs: number[] = [];
  readonly #refusedMs: number[] = [];
  readonly #reasons = new Map<string, number>();

  add(visit: Visit): void {
    this.counts.set(visit.outcome, (this.counts.get(visit.outcome) ?? 0) + 1);
    this.tokens += visit.tokens;
    if (visit.outcome === 200) this.#wholeMs.push(visit.totalMs);
    if (visit.outcome === 200 && visit.firstTextMs !== undefined) this.#firstTextMs.push(visit.firstTextMs);
    if (visit.outcome === 429) this.#refusedMs.push(visit.totalMs);
    if (visit.outcome !== 429 && visit.reason !== undefined) {
      const reason = `${visit.outcome}: ${visit.reason}`;
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }

  count(outcome: Visit['outcome']): number {
    return this.counts.get(outcome) ?? 0;
  }

  /** Largest over smallest memory, less one, once the service is warm; undefined with fewer than two samples. */
  memorySpread(seconds: number): number | undefined {
    const from = Math.min(WARM_MINUTES * 60, seconds * WARM_SHARE);
    const warm = this.memory.filter(({ at }) => at >= from).map(({ mib }) => mib);
    return warm.length < 2 ? undefined : Math.max(...warm) / Math.min(...warm) - 1;
  }

  /** The rules that were broken, for people; none is what a good run has. */
  broken(seconds: number, after: Aftermath, sequences: number): string[] {
    const problems: string[] = [];
    for (const [outcome, count] of this.counts) {
      if (outcome !== 200 && outcome !== 429 && outcome !== 'left')
        problems.push(`${count} requests ended with ${outcome}; only 200 and 429 may occur`);
    }
    for (const [reason, count] of this.#reasons) problems.push(`  ${count} times ${reason}`);
    for (const outcome of [200, 429])
      if (this.count(outcome) === 0) problems.push(`no request ended with ${outcome}: this was no load`);
    const spread = this.memorySpread(seconds);
    if (spread === undefined) problems.push('memory was seen less than twice; run for longer');
    else if (spread > MOST_SPREAD)
      problems.push(`memory moved by ${percent(spread)} of at most ${percent(MOST_SPREAD)}`);
    if (after.running > 0 || after.waiting > 0)
      problems.push(`${after.running} requests still run and ${after.waiting} wait with no client left`);
    if (after.answering < sequences)
      problems.push(`${after.answering} of ${sequences} sequences answer together afterwards`);
    return problems;
  }

  /** Markdown, which also reads well on a terminal. */
  table(seconds: number, after: Aftermath): string {
    const rows: (readonly [string, string])[] = [
      ...[...this.counts]
        .sort(([a], [b]) => String(a).localeCompare(String(b)))
        .map(([outcome, count]) => [`requests that ended with ${outcome}`, String(count)] as const),
      ['answers a second', (this.count(200) / seconds).toFixed(1)],
      ['tokens a second, all answers', (this.tokens / seconds).toFixed(0)],
      ['whole answer, p50 / p95 / p99 / most, s', percentiles(this.#wholeMs)],
      ['first text of a streamed answer, p50 / p95 / p99 / most, s', percentiles(this.#firstTextMs)],
      ['refusal (429), p50 / p95 / p99 / most, s', percentiles(this.#refusedMs)],
      ['memory, least to most once warm, MiB', this.#memoryRange(seconds)],
      ['running / waiting afterwards', `${after.running} / ${after.waiting}`],
      ['sequences that answer together afterwards', String(after.answering)],
    ];
    const width = Math.max(...rows.map(([name]) => name.length));
    const last = Math.max(...rows.map(([, value]) => value.length));
    const print = ([name, value]: readonly [string, string]) =>
      `| ${name.padEnd(width)} | ${value.padEnd(last)} |`;
    return [print(['', '']), `|${'-'.repeat(width + 2)}|${'-'.repeat(last + 2)}|`, ...rows.map(print)].join(
      '\n',
    );
  }

  #memoryRange(seconds: number): string {
    const from = Math.min(WARM_MINUTES * 60, seconds * WARM_SHARE);
    const warm = this.memory.filter(({ at }) => at >= from).map(({ mib }) => mib);
    const spread = this.memorySpread(seconds);
    if (spread === undefined) return 'not seen';
    return `${Math.min(...warm).toFixed(0)} to ${Math.max(...warm).toFixed(0)} (${percent(spread)})`;
  }
}

function percentiles(milliseconds: readonly number[]): string {
  const seconds = (value: number | undefined) => (value === undefined ? '-' : (value / 1000).toFixed(3));
  return [0.5, 0.95, 0.99, 1].map((share) => seconds(percentile(milliseconds, share))).join(' / ');
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
