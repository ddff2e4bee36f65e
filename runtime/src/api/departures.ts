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
 * **Who comes back when.** The first who is refused is told when the next place should be free. One place has room for
 * one, so the second is told the time of the place after, and so on: a line outside, whose members come back one by one
 * and find a place each. OpenAI's clients try three times in all, so a time at which a place is taken again helps nobody.
 *
 * It is a guess that they come back, and only then; what is told is bounded for the case that they do not. Beyond three
 * times as many as are inside, those who are refused are probably the same ones again, too early, and it begins anew with
 * the next place: of hundreds, each moment still gets the same share. Beyond a minute some clients go by a time of their
 * own. And once half of the sequences have nothing to do, nobody stands outside any more.
 */

/** How long a request takes while all sequences work, before one has ended. */
const FIRST_WORK_SECONDS = 2;
/** Ends that count, in rounds of all sequences; at least so many, for those with one. */
const [ROUNDS, LEAST_ENDS] = [2, 8];
/** The line outside, as a multiple of those who are inside. */
const MOST_OUTSIDE = 3;
const MOST_SECONDS = 60;

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
  /** The time of the place that somebody was told last. */
  #toldLast = 0;

  /** `sequences`: how many work at the same time. */
  constructor(sequences: () => number, now = () => performance.now() / 1000) {
    this.#sequences = sequences;
    this.#now = now;
    this.#countedAt = now();
  }

  /** To be called before each change of the number that is inside. */
  count(inside: number): void {
    const now = this.#now();
    const share = Math.min(1, inside / this.#sequences());
    if (share < 0.5) this.#toldLast = now;
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

  /** Whole seconds after which the next who is refused should come back. */
  tell(inside: number): number {
    const between = this.#between(inside);
    const now = this.#now();
    const after = Math.max(now, this.#toldLast) + between;
    // The hundredth part is for sums that were rounded.
    const isBeyond = after - now > Math.min(MOST_SECONDS, between * (MOST_OUTSIDE * inside + 0.01));
    this.#toldLast = isBeyond ? now + between : after;
    return whole(this.#toldLast - now);
  }

  /** Whole seconds until one of `held` requests should end, of all that are inside. */
  untilOneOf(held: number, inside: number): number {
    return whole((this.#between(inside) * Math.max(inside, held)) / held);
  }

  /** Seconds from one end to the next, while as many work as can. */
  #between(inside: number): number {
    this.count(inside);
    return (this.#seconds + this.#since) / (this.#ends ?? this.#sequences());
  }
}

function whole(seconds: number): number {
  return Math.min(MOST_SECONDS, Math.max(1, Math.ceil(seconds)));
}
