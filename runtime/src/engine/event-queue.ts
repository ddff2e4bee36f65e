import type { GenerateEvent, TextEvent } from './engine.js';
import type { VectorEvent } from './protocol.js';

/**
 * Hands events from a callback to one `for await`. Pieces of text that a slow consumer has not taken yet are joined,
 * so that it is behind by one event, not by hundreds.
 */
export class EventQueue {
  #events: GenerateEvent[] = [];
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  push(event: GenerateEvent | VectorEvent): void {
    if (event.type === 'vector') return;
    const last = this.#events.at(-1);
    if (event.type === 'text' && last?.type === 'text') {
      this.#events[this.#events.length - 1] = joined(last, event);
    } else {
      this.#events.push(event);
    }
    if (event.type === 'end') this.#ended = true;
    this.#notify();
  }

  /** What was pushed before is still delivered, then `error` is thrown. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  /** Forgets what was not delivered and throws `error` at once. */
  abort(error: unknown): void {
    this.#events = [];
    this.fail(error);
  }

  /** `onLeave` is called once, when the loop over the events ends, in whatever way. */
  async *events(onLeave: () => void): AsyncGenerator<GenerateEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.#events.shift();
        if (event !== undefined) {
          yield event;
        } else if (this.#failure !== undefined) {
          throw this.#failure.error;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
    } finally {
      onLeave();
    }
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

function joined(first: TextEvent, second: TextEvent): TextEvent {
  const both = {
    type: 'text',
    text: first.text + second.text,
    tokens: first.tokens + second.tokens,
  } as const;
  const logprobs = [...(first.logprobs ?? []), ...(second.logprobs ?? [])];
  return logprobs.length === 0 ? both : { ...both, logprobs };
}
