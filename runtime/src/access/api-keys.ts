/**
 * The API keys that are valid now. A rotation needs no restart: keys from Secrets Manager are read again at an
 * interval and when somebody presents a key that is not known yet, and the previous key stays valid while Secrets
 * Manager keeps it as AWSPREVIOUS.
 */
import { hash, timingSafeEqual } from 'node:crypto';

/** A key as text stays in this process's memory; comparisons use its digest, which has one length for all keys. */
export interface ApiKey {
  readonly value: string;
  readonly digest: Buffer;
}

/** Reads the valid keys, newest first. @throws SecretError when they cannot be had. */
export type KeySource = () => Promise<readonly string[]>;

export interface ApiKeysOptions {
  readonly source: KeySource;
  /** Milliseconds between two readings. 0: read once. */
  readonly refreshIntervalMs: number;
  /**
   * Readings that unknown keys may cause at once, so that guessing cannot flood the source. More than one: a guess just
   * before a rotation must not keep out who comes with the new key. @default 4
   */
  readonly unknownKeyReads?: number;
  /**
   * Milliseconds after which one more of them is allowed: so long at most, whoever guesses, is a new key not known. At
   * 5 seconds an attack that lasts all day costs 0.09 USD. @default 5_000
   */
  readonly unknownKeyIntervalMs?: number;
  readonly onProblem: (text: string) => void;
}

export class ApiKeys {
  readonly #options: Required<ApiKeysOptions>;
  #keys: readonly ApiKey[];
  #timer: NodeJS.Timeout | undefined;
  /** Readings that unknown keys may cause now. */
  #allowance: number;
  #allowanceAt = Date.now();
  #reading: Promise<boolean> | undefined;
  readonly #listeners = new Set<() => void>();

  private constructor(options: Required<ApiKeysOptions>, keys: readonly ApiKey[]) {
    this.#options = options;
    this.#keys = keys;
    this.#allowance = options.unknownKeyReads;
    if (options.refreshIntervalMs > 0) {
      this.#timer = setInterval(() => void this.#read(), options.refreshIntervalMs).unref();
    }
  }

  /** Reads the keys once before anything can ask for them. @throws SecretError */
  static async open(options: ApiKeysOptions): Promise<ApiKeys> {
    const complete = { unknownKeyReads: 4, unknownKeyIntervalMs: 5_000, ...options };
    return new ApiKeys(complete, toKeys(await options.source()));
  }

  /** Newest first: the first one signs. */
  current(): readonly ApiKey[] {
    return this.#keys;
  }

  /** Whether the text is a valid key. Takes the same time whichever key it resembles. */
  has(candidate: string): boolean {
    const digest = sha256(candidate);
    // No early exit: how long it takes does not tell which key matched.
    return this.#keys.reduce((found, key) => timingSafeEqual(key.digest, digest) || found, false);
  }

  /** Reads the keys again, unless that was done too often of late. Resolves to whether they changed. */
  async refreshForUnknownKey(): Promise<boolean> {
    if (this.#options.refreshIntervalMs === 0) return false;
    // One that is under way may have asked before the key was replaced; one that begins now has not.
    if (this.#reading !== undefined && (await this.#reading)) return true;
    if (this.#reading !== undefined) return this.#reading;
    return this.#takeAllowance() ? this.#read() : false;
  }

  /** Reads the keys again now. Resolves to whether they changed. */
  async refresh(): Promise<boolean> {
    return this.#options.refreshIntervalMs === 0 ? false : this.#read();
  }

  /** Called after the keys changed. Returns a function that unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #takeAllowance(): boolean {
    const { unknownKeyReads, unknownKeyIntervalMs } = this.#options;
    const now = Date.now();
    const earned = (now - this.#allowanceAt) / unknownKeyIntervalMs;
    this.#allowance = Math.min(unknownKeyReads, this.#allowance + earned);
    this.#allowanceAt = now;
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  /** Never rejects: with the source away, the keys known so far stay valid. */
  #read(): Promise<boolean> {
    this.#reading ??= this.#options
      .source()
      .then((values) => {
        const before = this.#keys;
        this.#keys = toKeys(values);
        const isChanged = before.map((key) => key.value).join('\n') !== values.join('\n');
        if (isChanged) for (const listener of this.#listeners) listener();
        return isChanged;
      })
      .catch((error: unknown) => {
        this.#options.onProblem(`the API key could not be read again: ${(error as Error).message}`);
        return false;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }
}

function toKeys(values: readonly string[]): readonly ApiKey[] {
  return values.map((value) => ({ value, digest: sha256(value) }));
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
