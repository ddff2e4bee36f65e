/**
 * Those who were refused at one door, or of one share of the places behind it, and when each should come back.
 *
 * The first who is refused is told when the next place should be free. One place has room for one, so the second is told
 * the time of the place after, and so on: a line outside, whose members come back one by one and find a place each.
 * OpenAI's clients try three times in all, so a time at which a place is taken again helps nobody.
 *
 * It is a guess that they come back, and only then; what is told is bounded for the case that they do not. Beyond three
 * times as many as are inside, those who are refused are probably the same ones again, too early, and it begins anew with
 * the next place: of hundreds, each moment still gets the same share. Beyond a minute some clients go by a time of their
 * own.
 */

/** The line outside, as a multiple of those who are inside. */
const MOST_OUTSIDE = 3;
const MOST_SECONDS = 60;

/** Where places get free. */
export interface Places {
  /** How many are inside. */
  readonly inside: number;
  /** Seconds from one place that gets free to the next. */
  readonly between: number;
}

/** Times are in seconds, on the clock of whoever asks. */
export class LineOutside {
  /** The time of the place that somebody was told last. */
  #toldLast = 0;

  /** Whole seconds after which the next who is refused should come back. */
  tell(now: number, { inside, between }: Places): number {
    const after = Math.max(now, this.#toldLast) + between;
    // The hundredth part is for sums that were rounded.
    const isBeyond = after - now > Math.min(MOST_SECONDS, between * (MOST_OUTSIDE * inside + 0.01));
    this.#toldLast = isBeyond ? now + between : after;
    return Math.min(MOST_SECONDS, Math.max(1, Math.ceil(this.#toldLast - now)));
  }

  /** Nobody who was told a time still waits for it. */
  isOver(now: number): boolean {
    return this.#toldLast <= now;
  }

  /** Nobody stands outside any more. */
  end(): void {
    this.#toldLast = 0;
  }
}
