/**
 * What the policy's file and its copy both were when they met last: who knows it sees which of the two has changed since.
 * Kept beside the file as a digest, for a service that restarts. It belongs to the machine and not to the policy: see
 * `carryCommon`.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import type { LogLevel } from '../log/logger.js';

export const COMMON_FILE = 'policy.common';

export interface LastCommonOptions {
  /** Where the policy's file lies. */
  readonly directory: string;
  /** Names the copy: what was common with another one says nothing about this one. */
  readonly copyName: string;
  readonly log: (level: LogLevel, text: string) => void;
}

export class LastCommon {
  readonly #options: LastCommonOptions;
  readonly #file: string;
  /** Undefined where it is not known, also because the file is damaged or of another copy. */
  #digest: string | undefined;
  #isStored: boolean;
  #problem: string | undefined;

  constructor(options: LastCommonOptions) {
    this.#options = options;
    this.#file = join(options.directory, COMMON_FILE);
    this.#digest = this.#read();
    this.#isStored = this.#digest !== undefined;
  }

  get isKnown(): boolean {
    return this.#digest !== undefined;
  }

  is(text: string): boolean {
    return this.#digest === digestOf(text);
  }

  /** Never rejects: what could not be stored is known here, and stored the next time. */
  async set(text: string): Promise<void> {
    const digest = digestOf(text);
    if (digest === this.#digest && this.#isStored) return;
    this.#digest = digest;
    try {
      await writeAtomically(this.#file, this.#line(digest));
      this.#isStored = true;
      this.#problem = undefined;
    } catch (error) {
      this.#isStored = false;
      this.#complain(messageOf(error));
    }
  }

  #read(): string | undefined {
    try {
      const text = readFileSync(this.#file, 'utf8');
      const digest = text.slice(0, 64);
      return /^[0-9a-f]{64}$/.test(digest) && text === this.#line(digest) ? digest : undefined;
    } catch {
      return undefined;
    }
  }

  /** As sha256sum writes it. */
  #line(digest: string): string {
    return `${digest}  ${this.#options.copyName}\n`;
  }

  #complain(problem: string): void {
    if (problem !== this.#problem) {
      this.#options.log(
        'WRN',
        `cannot write ${this.#file}: ${problem}; after a restart, of two changes of the policy the newer counts`,
      );
    }
    this.#problem = problem;
  }
}

/**
 * For a policy that is put in the place of the one in `from`: what this machine and the copy had in common last stays so,
 * whatever it was on the machine and at the time that the policy comes from.
 */
export async function carryCommon(from: string, to: string): Promise<void> {
  await forgetCommon(to);
  const line = await readFile(join(from, COMMON_FILE)).catch(() => undefined);
  if (line !== undefined) await writeAtomically(join(to, COMMON_FILE), line);
}

/** The newer of the policy's file and its copy counts then. */
export async function forgetCommon(directory: string): Promise<void> {
  await rm(join(directory, COMMON_FILE), { recursive: true, force: true });
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
