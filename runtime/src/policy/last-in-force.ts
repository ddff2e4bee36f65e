/**
 * Which policy was in force last, kept beside its file: so that a start sees that the file was deleted while the service
 * was off, also where no copy tells it. It holds the revision, as the log does; while the default policy is in force,
 * there is no such file.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import type { LogLevel } from '../log/logger.js';
import { revisionOf } from './read.js';

export const LAST_FILE = 'policy.last';
export const DEFAULT_REVISION = revisionOf('');

export class LastInForce {
  readonly #file: string;
  readonly #log: (level: LogLevel, text: string) => void;
  #hasFailed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(directory: string, log: (level: LogLevel, text: string) => void) {
    this.#file = join(directory, LAST_FILE);
    this.#log = log;
  }

  /** Undefined: it was the default, or that is not known. */
  async revision(): Promise<string | undefined> {
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    return /^([0-9a-f]{16})\n$/.exec(text)?.[1];
  }

  /** Never rejects: a policy is in force also where that cannot be kept. */
  set(revision: string): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(revision));
    return this.#writing;
  }

  async #write(revision: string): Promise<void> {
    try {
      if (revision === DEFAULT_REVISION) await rm(this.#file, { force: true });
      else if (revision !== (await this.revision())) await writeAtomically(this.#file, `${revision}\n`);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) {
        const loss = "a start would not notice that the policy's file was deleted";
        this.#log('WRN', `cannot write ${this.#file}: ${messageOf(error)}; ${loss}`);
      }
      this.#hasFailed = true;
    }
  }
}
