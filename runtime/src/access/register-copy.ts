/** The register of tokens outside the machine: what several machines know is known to all, and survives each of them. */
import type { LogLevel } from '../log/logger.js';
import { CopyError, type SharedObject } from '../state-copy/shared-object.js';
import { EMPTY, endsWorthTelling, isSame, type RegisterContent } from './register-content.js';
import type { Opened } from './sealed.js';

/** Under which the object says when tokens end; the reminder function reads that, and cannot read the register. */
const ENDS_NOTE = 'token-ends';
/** Others change it, too, but hardly five times in the time of one exchange. */
const TRIES = 5;

export interface RegisterCopyOptions {
  readonly object: SharedObject;
  open(sealed: Buffer): Promise<Opened>;
  parse(name: string, content: Buffer): RegisterContent;
  seal(content: RegisterContent): Buffer;
  readonly log: (level: LogLevel, text: string) => void;
}

export interface ExchangeOptions {
  /** Takes over what others know; resolves to what is known here then. */
  join(theirs: RegisterContent): Promise<RegisterContent>;
  /** Whether what is known here may stand in for a copy that is damaged. */
  readonly isComplete: boolean;
  /** Whether the API keys were read a moment ago, so that one that is not among them is void. */
  readonly isStart: boolean;
}

interface Agreed {
  readonly tag: string;
  readonly content: RegisterContent;
  /** To be written again: sealed under an older key, or unusable. */
  readonly isStale: boolean;
}

export class RegisterCopy {
  readonly #options: RegisterCopyOptions;
  /** The version that was read or written last. */
  #agreed: Agreed | undefined;

  constructor(options: RegisterCopyOptions) {
    this.#options = options;
  }

  /** Has the copy opened again at the next exchange: the keys have changed. */
  forget(): void {
    this.#agreed = undefined;
  }

  /** @throws CopyError when the copy could not be read, or does not know yet what is known here */
  async exchange(options: ExchangeOptions): Promise<void> {
    const { object, seal } = this.#options;
    for (let tries = TRIES; tries > 0; tries--) {
      const { tag, content: theirs, isStale } = await this.#read(options);
      const ours = await options.join(theirs);
      if (!isStale && isSame(ours, theirs)) return;
      const ends = endsWorthTelling(ours, Math.floor(Date.now() / 1000));
      const written = await object.write(seal(ours), tag, { [ENDS_NOTE]: ends.join(',') });
      this.#agreed = written === undefined ? undefined : { tag: written, content: ours, isStale: false };
      if (written !== undefined) return;
    }
    throw new CopyError(`cannot write ${object.name}: others change it again and again`);
  }

  async #read(options: ExchangeOptions): Promise<Agreed> {
    const version = await this.#options.object.read(this.#agreed?.tag);
    if (version !== undefined) {
      this.#agreed = { tag: version.tag, ...(await this.#open(version.content, options)) };
    }
    if (this.#agreed === undefined) throw new CopyError(`${this.#options.object.name} has no content`);
    return this.#agreed;
  }

  async #open(sealed: Buffer, { isComplete, isStart }: ExchangeOptions): Promise<Omit<Agreed, 'tag'>> {
    const { object, open, parse, log } = this.#options;
    // As the deploy made it: no machine has written yet.
    if (sealed.length === 0) return { content: EMPTY, isStale: false };
    const opened = await open(sealed);
    if (opened.ok) return { content: parse(object.name, opened.content), isStale: opened.isStale };
    if (opened.reason === 'unknown_key') {
      if (!isStart) {
        throw new CopyError(`${object.name} is sealed under an API key that this process does not know`);
      }
      // Every token in it was signed under that key or an older one.
      log('SEC', `${object.name} was sealed under an API key that is no longer valid; begun anew`);
      return { content: EMPTY, isStale: true };
    }
    if (!isComplete) {
      throw new CopyError(
        `${object.name} is damaged or was tampered with, and this machine has no register of its own. What to do: ` +
          'bring back the version before (aws s3api list-object-versions), or rotate the API key twice and put an empty object there',
      );
    }
    log('SEC', `${object.name} is damaged or was tampered with; written anew from this machine's register`);
    return { content: EMPTY, isStale: true };
  }
}
