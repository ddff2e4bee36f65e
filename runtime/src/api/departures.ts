/**
 * When places get free at a full door, from how requests ended lately: what `Retry-After` says.
 *
 * **The rate.** What counts is how long it is from one end to the next while all sequences work. The clock runs slower
 * while fewer do: n that are answered together end about √n times as often as one alone (docs/performance.md), so a
 * second in which n of N work is √(n/N) of a full one. The newest sixteen or so ends count, and the time since the
 * last: while nothing ends, the estimate grows. Before anything has ended there is a guess, as if one round of requests
 * had ended already; it is short, because to come back too early costs a refusal of a millisecond, and to come back too
 * late leaves the machine idle.
 *
 * **Who comes back when.** Each who is refused is told of a place that nobody else was told of: see LineOutside. Once half
 * of the sequences have nothing to do, nobody stands outside the door any more. A share of the places, which the access
 * policy gives to a token or to all of them, has a line of its own, and its part of the rate.
 */
import { LineOutside } from './line-outside.js';

/** How long a request takes while all sequences work, before one has ended. */
const FIRST_WORK_SECONDS = 2;
/** Ends that count, in rounds of all sequences; at least so many, for those with one. */
const [ROUNDS, LEAST_ENDS] = [2, 8];

export class Departures {
  readonly #sequences: () => number;
  /** Seconds. */
  readonly #now: () => number;
  /** Full seconds of the ends that count. */
  #seconds = FIRST_WORK_SECONDS;
  /** Undefined until the first: how many sequences there are is known when the model is loaded. */
  #ends: number | undefined;
  /** Full seconds since the last end. */
  #since = 0;
  #countedAt: number;
  /** At the door. */
  readonly #line = new LineOutside();

  /** `sequences`: how many work at the same time. `now`: a clock, in seconds. */
  constructor(sequences: () => number, now: () => number) {
    this.#sequences = sequences;
    this.#now = now;
    this.#countedAt = now();
  }

  /** To be called before each change of the number that is inside. */
  count(inside: number): void {
    const now = this.#now();
    const share = Math.min(1, inside / this.#sequences());
    if (share < 0.5) this.#line.end();
    this.#since += (now - this.#countedAt) * Math.sqrt(share);
    this.#countedAt = now;
  }

  /** A request has ended that had a sequence; what only left the line says nothing of the rate. */
  end(): void {
    const kept = 1 - 1 / Math.max(LEAST_ENDS, ROUNDS * this.#sequences());
    this.#seconds = this.#seconds * kept + this.#since;
    this.#ends = (this.#ends ?? this.#sequences()) * kept + 1;
    this.#since = 0;
  }

  /** Whole seconds after which the next who is refused at the door should come back. */
  tell(inside: number): number {
    const between = this.#between(inside);
    return this.#line.tell(this.#now(), { inside, between });
  }

  /** The same for a share of `held` places, all taken, with the line outside of it. */
  tellOfShare(line: LineOutside, held: number, inside: number): number {
    // Some of them may be inside by the doors of other models.
    const all = Math.max(inside, held);
    const working = Math.min(1, all / this.#sequences());
    // As many as can do not work where the share is all there is: ends are then as seldom as the clock is slow.
    const between = (this.#between(inside) / Math.sqrt(working)) * (all / held);
    return line.tell(this.#now(), { inside: held, between });
  }

  /** Seconds from one end to the next, while as many work as can. */
  #between(inside: number): number {
    this.count(inside);
    return (this.#seconds + this.#since) / (this.#ends ?? this.#sequences());
  }
}
