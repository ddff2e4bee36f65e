/** Keeps answers in this process: bounded in bytes and in time; the least recently used go first. */
import type { AnswerStore } from './response-cache.js';

export interface MemoryStoreOptions {
  readonly maxBytes: number;
  readonly ttlMs: number;
  /** For tests. Milliseconds. */
  readonly now?: () => number;
}

interface Entry {
  readonly value: string;
  readonly bytes: number;
  readonly expiresAt: number;
}

/** What an entry takes beside its two texts. */
const OVERHEAD_BYTES = 200;

export class MemoryStore implements AnswerStore {
  readonly #options: Required<MemoryStoreOptions>;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(options: MemoryStoreOptions) {
    this.#options = { now: Date.now, ...options };
  }

  get bytes(): number {
    return this.#bytes;
  }

  async get(key: string): Promise<string | undefined> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#remove(key, entry);
    if (entry.expiresAt <= this.#options.now()) return undefined;
    this.#add(key, entry);
    return entry.value;
  }

  async set(key: string, value: string): Promise<void> {
    // A JavaScript text takes up to two bytes for each unit.
    const bytes = 2 * (key.length + value.length) + OVERHEAD_BYTES;
    if (bytes > this.#options.maxBytes) return;
    const old = this.#entries.get(key);
    if (old !== undefined) this.#remove(key, old);
    this.#add(key, { value, bytes, expiresAt: this.#options.now() + this.#options.ttlMs });
    for (const [eldest, entry] of this.#entries) {
      if (this.#bytes <= this.#options.maxBytes) break;
      this.#remove(eldest, entry);
    }
  }

  async close(): Promise<void> {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #add(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
