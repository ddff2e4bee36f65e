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

/** A check that did not pass, and why. */
interface Complaint {
  name: string;
  message: string;
}

/** What is judged, and can be run, by itself: as `.ci/twice.mjs` reads it. */
export interface PartResult {
  part: string;
  passed: number;
  failures: readonly Complaint[];
  skipped: readonly Complaint[];
}

export class Report {
  #passed = 0;
  readonly #skipped: Complaint[] = [];
  readonly #failures: Complaint[] = [];
  readonly #figures: Figure[] = [];
  readonly #parts: Report[] = [];
  readonly #startedAt = Date.now();

  constructor(readonly name = 'path') {}

  /** A report of something that is judged by itself, and that fails when nothing of it is checked: a drill. */
  part(name: string): Report {
    const part = new Report(name);
    this.#parts.push(part);
    return part;
  }

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
    const message = cause instanceof Error ? cause.message : String(cause);
    this.#failures.push({ name, message });
    console.log(`  FAIL  ${name}\n${message.replace(/^/gm, '          ')}`);
  }

  skip(name: string, why: string): void {
    this.#skipped.push({ name, message: why });
    console.log(`  skip  ${name}: ${why}`);
  }

  /** A figure for the timeline. A size over its limit is a failed check; a time over its limit is marked. */
  figure(figure: Figure): void {
    this.#figures.push(figure);
  }

  /** Prints timeline and count. Returns true when everything passed. */
  finish(): boolean {
    const all = [this, ...this.#parts];
    if (all.some((each) => each.#figures.length > 0)) this.heading('Timeline and figures');
    for (const each of all) each.#judgeFigures();
    for (const part of this.#parts) {
      if (part.#passed + part.#failures.length + part.#skipped.length === 0) {
        part.fail(`drill ${part.name}`, 'not tried: what comes before it failed');
      }
    }
    const passed = all.reduce((sum, each) => sum + each.#passed, 0);
    const failures = all.flatMap((each) => each.#failures);
    const skipped = all.flatMap((each) => each.#skipped);
    for (const { name } of failures) console.log(`\nFAILED: ${name}`);
    console.log(`\nEC2 in a box took ${clock(Date.now() - this.#startedAt)}`);
    console.log(`${passed} passed, ${failures.length} failed, ${skipped.length} skipped`);
    return failures.length === 0;
  }

  get hasFailed(): boolean {
    return [this, ...this.#parts].some((each) => each.#failures.length > 0);
  }

  results(): PartResult[] {
    return [this, ...this.#parts].map((each) => ({
      part: each.name,
      passed: each.#passed,
      failures: each.#failures,
      skipped: each.#skipped,
    }));
  }

  #judgeFigures(): void {
    for (const { name, value, unit, limit, failsAbove = limit } of this.#figures) {
      const over = limit !== undefined && value > limit;
      const shown = unit === 'bytes' ? value.toLocaleString('en-US') : value.toFixed(1);
      const allowed = limit === undefined ? '' : `   limit ${limit.toLocaleString('en-US')} ${unit}`;
      console.log(`  ${over ? 'OVER' : '    '}  ${name.padEnd(44)} ${shown.padStart(8)} ${unit}${allowed}`);
      // How long something takes says as much about the machine as about the project: shown, not judged.
      if (failsAbove === undefined || unit === 's') continue;
      if (value > failsAbove) this.fail(`${name} is over its limit`, `${shown} ${unit}`);
      else this.#passed++;
    }
  }
}

/** Minutes and seconds. */
function clock(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
