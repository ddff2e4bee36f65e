/** The access policy outside the machine. It is changed by hand and as a whole: what was changed on one side alone counts. */
import { CopyError, type SharedObject } from '../state-copy/shared-object.js';
import type { LastCommon } from './last-common.js';

/** What stands in the copy when the file was removed or emptied: no limits and no rules, on purpose. */
const REMOVED = '# there is no policy\n';
const TRIES = 5;

/** The file on this machine. */
export interface LocalPolicy {
  readonly text: string;
  /** Unix milliseconds. */
  readonly writtenAt: number;
}

export class PolicyCopy {
  readonly #object: SharedObject;
  /** Only where both have changed since the file and the copy met last do times decide. */
  readonly #common: LastCommon;
  /** The version that was read or written last. */
  #agreed: { readonly tag: string; readonly text: string; readonly writtenAt: number } | undefined;

  constructor(object: SharedObject, common: LastCommon) {
    this.#object = object;
    this.#common = common;
  }

  /** The file and the copy met last while there was a policy: a file that is missing was deleted since. */
  get hadPolicy(): boolean {
    return this.#common.isKnown && !this.#common.is(REMOVED);
  }

  /** What `exchange` resolved to is in the file now. */
  took(text: string): Promise<void> {
    return this.#common.set(text);
  }

  /**
   * `local`: undefined where there is no file. Resolves to the text that belongs in the file, where that is another: see
   * `took`.
   * @throws CopyError
   */
  async exchange(local: LocalPolicy | undefined): Promise<string | undefined> {
    const isRemoved = local === undefined && this.hadPolicy;
    for (let tries = TRIES; tries > 0; tries--) {
      const version = await this.#object.read(this.#agreed?.tag);
      if (version !== undefined) this.#agreed = { ...version, text: version.content.toString('utf8') };
      const kept = this.#agreed;
      if (kept === undefined) throw new CopyError(`${this.#object.name} has no content`);

      const text = isRemoved || local?.text === '' ? REMOVED : local?.text;
      if (text === undefined || text === kept.text) {
        // A new machine; or the two agree.
        const isNews = text === undefined && kept.text !== '' && kept.text !== REMOVED;
        if (isNews) return kept.text;
        if (kept.text !== '') await this.#common.set(kept.text);
        return undefined;
      }
      // A removal has no time: what the other machine wrote since stays.
      const isNewer = !this.#common.is(kept.text) && kept.writtenAt > (local?.writtenAt ?? 0);
      if (kept.text !== '' && (this.#common.is(text) || isNewer)) return kept.text;
      const tag = await this.#object.write(Buffer.from(text), kept.tag);
      // The file's own time, and not this moment's: the file system's clock is some milliseconds slow.
      this.#agreed = tag === undefined ? undefined : { tag, text, writtenAt: local?.writtenAt ?? 0 };
      if (tag !== undefined) {
        await this.#common.set(text);
        return undefined;
      }
    }
    throw new CopyError(`cannot write ${this.#object.name}: others change it again and again`);
  }
}
