/** Long texts in slices, with a turn of the event loop between them: nobody waits while somebody's book is screened. */
import { setImmediate } from 'node:timers/promises';

/** Characters that are screened in one go: a tenth to half of a millisecond. */
export const SLICE = 1024;
/** What belongs to the character before it: an accent, or the other half of a pair. */
const CONTINUES = /^[\p{M}\uDC00-\uDFFF]/u;

/** A text in pieces of a bounded length, none cut within a character. */
export function* slicesOf(text: string): Generator<string, void> {
  for (let from = 0; from < text.length;) {
    let to = Math.min(from + SLICE, text.length);
    // A text of nothing but accents has no better place.
    const most = to + SLICE;
    while (to < text.length && to < most && CONTINUES.test(text.charAt(to))) to++;
    yield text.slice(from, to);
    from = to;
  }
}

/** Counts what is done without a break, over one text or many. */
export class Turn {
  #left = SLICE;

  /** Lets others have a turn once a slice's worth of characters was screened. */
  async took(characters: number): Promise<void> {
    this.#left -= characters;
    if (this.#left > 0) return;
    this.#left = SLICE;
    await setImmediate();
  }
}
