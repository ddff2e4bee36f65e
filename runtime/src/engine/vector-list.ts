import type { Embeddings, GenerateEvent } from './engine.js';
import type { VectorEvent } from './protocol.js';

/** Gathers the vectors of one request until the last has come. */
export class VectorList {
  readonly whole: Promise<Embeddings>;
  readonly #vectors: Float32Array[] = [];
  #promptTokens = 0;
  #resolve!: (embeddings: Embeddings) => void;
  #reject!: (error: unknown) => void;

  constructor() {
    this.whole = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  push(event: GenerateEvent | VectorEvent): void {
    if (event.type !== 'vector') return;
    this.#vectors.push(toFloats(event.base64));
    this.#promptTokens += event.tokens;
    if (event.isLast) this.#resolve({ vectors: this.#vectors, promptTokens: this.#promptTokens });
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

function toFloats(base64: string): Float32Array {
  // Copied: a Buffer may begin where no float can.
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
}
