/**
 * Long work in slices, with a turn of the event loop between them: nobody waits while somebody's book is screened, or
 * thousands of rules are compiled.
 */
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

/** What a text costs beside its characters, in such: a request may hold hundreds of thousands of texts. */
const PER_TEXT = 16;

/** Counts what is done without a break, over one text or many. */
export class Turn {
  readonly #goOn: () => void;
  #left = SLICE;

  /** `goOn` is called after each break; it throws where nobody waits for the work any more. */
  constructor(goOn = () => {}) {
    this.#goOn = goOn;
  }

  /** Lets others have a turn once a slice's worth of characters was screened; else there is nothing to wait for. */
  took(characters: number): Promise<void> | undefined {
    this.#left -= characters;
    return this.#left > 0 ? undefined : this.#break();
  }

  /** The same for one text more. */
  tookText(characters: number): Promise<void> | undefined {
    return this.took(characters + PER_TEXT);
  }

  async #break(): Promise<void> {
    this.#left = SLICE;
    await setImmediate();
    this.#goOn();
  }
}

/** Milliseconds that work of unknown length takes in one go. */
const SLICE_MS = 4;

/** Does what `work` does between its yields, each of which must be short. */
export async function inSlices<Result>(work: Generator<undefined, Result>): Promise<Result> {
  for (;;) {
    const until = performance.now() + SLICE_MS;
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (performance.now() < until);
    await setImmediate();
  }
}
