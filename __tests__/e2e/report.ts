/** What a person reads: a line for each check as it is done, a timeline with the limits, and the count at the end. */
export interface Figure {
  name: string;
  value: number;
  unit: 's' | 'MB' | 'bytes';
  limit?: number;
  /** The check fails above this; the limit itself where it is not given. Above the limit it is marked in any case. */
  failsAbove?: number;
}

/** A check that takes longer says so. */
const SLOW_MS = 5_000;

export class Report {
  #passed = 0;
  #skipped = 0;
  readonly #failures: string[] = [];
  readonly #figures: Figure[] = [];
  readonly #startedAt = Date.now();

  heading(text: string): void {
    console.log(`\n${text} [at ${clock(Date.now() - this.#startedAt)}]`);
  }

  say(text: string): void {
    console.log(`  ${text}`);
  }

  /** Runs one check. It fails by throwing; what it returns, if anything, is shown beside its name. */
  async check(name: string, body: () => unknown): Promise<boolean> {
    const from = Date.now();
    try {
      const detail = await body();
      this.#passed++;
      const took = Date.now() - from;
      const slow = took < SLOW_MS ? '' : `  ${(took / 1000).toFixed(0)} s`;
      console.log(`  ok    ${name}${typeof detail === 'string' ? `  (${detail})` : ''}${slow}`);
      return true;
    } catch (error) {
      this.fail(name, error);
      return false;
    }
  }

  fail(name: string, cause: unknown): void {
    this.#failures.push(name);
    const text = cause instanceof Error ? cause.message : String(cause);
    console.log(`  FAIL  ${name}\n${text.replace(/^/gm, '          ')}`);
  }

  skip(name: string, why: string): void {
    this.#skipped++;
    console.log(`  skip  ${name}: ${why}`);
  }

  /** A figure for the timeline. A size over its limit is a failed check; a time over its limit is marked. */
  figure(figure: Figure): void {
    this.#figures.push(figure);
  }

  /** Prints timeline and count. Returns true when everything passed. */
  finish(): boolean {
    if (this.#figures.length > 0) this.heading('Timeline and figures');
    for (const { name, value, unit, limit, failsAbove = limit } of this.#figures) {
      const over = limit !== undefined && value > limit;
      const shown = unit === 'bytes' ? value.toLocaleString('en-US') : value.toFixed(1);
      const allowed = limit === undefined ? '' : `   limit ${limit.toLocaleString('en-US')} ${unit}`;
      console.log(`  ${over ? 'OVER' : '    '}  ${name.padEnd(44)} ${shown.padStart(8)} ${unit}${allowed}`);
      // How long something takes says as much about the machine as about the project: shown, not judged.
      if (failsAbove === undefined || unit === 's') continue;
      if (value > failsAbove) this.#failures.push(`${name} is over its limit`);
      else this.#passed++;
    }
    for (const failure of this.#failures) console.log(`\nFAILED: ${failure}`);
    console.log(`\nEC2 in a box took ${clock(Date.now() - this.#startedAt)}`);
    console.log(`${this.#passed} passed, ${this.#failures.length} failed, ${this.#skipped} skipped`);
    return this.#failures.length === 0;
  }

  get failed(): boolean {
    return this.#failures.length > 0;
  }
}

/** Minutes and seconds. */
function clock(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
