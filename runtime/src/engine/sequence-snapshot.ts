import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Token } from 'node-llama-cpp';
import type { Sequence } from './sequence.js';
import type { EvaluatedTokens } from './token-prefix.js';

const MEMORY_FOLDER = '/dev/shm';
const OPEN_FILES = '/proc/self/fd';
let taken = 0;

/**
 * What a sequence has evaluated, copied out of the context: a thousand tokens of a 1B model are 32 MB and take some
 * 25 ms there and back; reading them anew takes ten seconds.
 *
 * It lies in memory (/dev/shm) where there is any. It holds what users wrote, so the file has no name from the start
 * (Linux): nobody else can open it, and nothing is left of it when this process ends, however it ends.
 */
export class SequenceSnapshot implements EvaluatedTokens {
  readonly tokens: readonly Token[];
  readonly shortestPrefix: number;
  readonly bytes: number;
  readonly #fd: number;
  readonly #path: string;

  private constructor({ tokens, shortestPrefix }: EvaluatedTokens, bytes: number, fd: number, path: string) {
    this.tokens = [...tokens];
    this.shortestPrefix = shortestPrefix;
    this.bytes = bytes;
    this.#fd = fd;
    this.#path = path;
  }

  /** `undefined`: there was no room for it, and nothing changed. Between steps only. */
  static async take(sequence: Sequence): Promise<SequenceSnapshot | undefined> {
    // Synchronous calls: asynchronous ones wait in the one thread that evaluates, and these take microseconds.
    const file = join(snapshotFolder(), `botstack-${process.pid}-${++taken}`);
    const fd = openSync(file, 'wx+', 0o600);
    let path = file;
    if (existsSync(OPEN_FILES)) {
      rmSync(file);
      path = join(OPEN_FILES, String(fd));
    }
    try {
      const bytes = await sequence.save(path);
      return new SequenceSnapshot(sequence.asSaved, bytes, fd, path);
    } catch {
      closeSync(fd);
      rmSync(file, { force: true });
      return undefined;
    }
  }

  /** The sequence then has evaluated these tokens and no others; nothing at all when false is returned. */
  async restore(sequence: Sequence): Promise<boolean> {
    try {
      await sequence.load(this.#path, this.tokens.length);
      return true;
    } catch {
      return false;
    }
  }

  /** Gives the memory back. */
  dispose(): void {
    closeSync(this.#fd);
    if (!this.#path.startsWith(OPEN_FILES)) rmSync(this.#path, { force: true });
  }
}

/** Where snapshots lie: in memory where there is such a folder. */
export function snapshotFolder(): string {
  return existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir();
}
