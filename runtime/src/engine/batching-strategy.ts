/** The part of node-llama-cpp's batch item that ordering needs. */
export interface BatchItem {
  readonly tokens: readonly unknown[];
  /** Carries the sequence's id: the only field of an item that node-llama-cpp passes through as given. */
  readonly evaluationPriority: number;
}

export interface PrioritizedItem<T> {
  readonly item: T;
  readonly processAmount: number;
}

/** Turns of the microtask queue to wait for an item of the step that has not arrived; each is some microseconds. */
const MOST_WAITS = 32;

/**
 * Puts the items of one step into one batch, ordered by sequence id.
 *
 * node-llama-cpp's own strategies know neither ids nor steps: a batch in order of arrival falls apart into several
 * evaluations in llama.cpp, and a batch that is taken before the last item has arrived (its loop takes what is
 * queued the moment a batch ends) leaves that item for an evaluation of its own. What the items of a step are is
 * decided by the scheduler, which announces how many there will be.
 */
export class BatchingStrategy {
  #expected = 0;
  #waits = 0;
  #batches = 0;

  /** Batches handed to llama.cpp since the start. */
  get batches(): number {
    return this.#batches;
  }

  /** How many sequences take part in the step that begins. */
  expect(items: number): void {
    this.#expected = items;
    this.#waits = 0;
  }

  /** node-llama-cpp's `itemPrioritizationStrategy`: asked again at once when it answers with nothing. */
  readonly prioritize = <T extends BatchItem>({
    items,
    size,
  }: {
    readonly items: readonly T[];
    readonly size: number;
  }): PrioritizedItem<T>[] => {
    if (items.length < this.#expected && this.#waits < MOST_WAITS) {
      this.#waits++;
      return [];
    }
    this.#batches++;
    let left = size;
    const batch: PrioritizedItem<T>[] = [];
    for (const item of [...items].sort((a, b) => a.evaluationPriority - b.evaluationPriority)) {
      const processAmount = Math.min(item.tokens.length, left);
      if (processAmount === 0) break;
      batch.push({ item, processAmount });
      left -= processAmount;
    }
    return batch;
  };
}
