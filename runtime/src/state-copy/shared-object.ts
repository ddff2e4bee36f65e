/** One object outside the machine, which several machines may read and write: the seam that S3 stands behind. */

export interface ObjectVersion {
  /** Empty where nothing was ever kept. */
  readonly content: Buffer;
  /** Names this version. */
  readonly tag: string;
  /** Unix milliseconds. */
  readonly writtenAt: number;
}

export interface SharedObject {
  /** For messages, such as `s3://bucket/state/policy.yaml`. */
  readonly name: string;
  /** The present version; undefined while that is the one with `knownTag`. @throws CopyError */
  read(knownTag?: string): Promise<ObjectVersion | undefined>;
  /**
   * Puts new content in the place of the version with `tag`. Resolves to the new version's tag, or to undefined when
   * somebody else was faster: read again. `notes` can be read without the content. @throws CopyError
   */
  write(
    content: Uint8Array,
    tag: string,
    notes?: Readonly<Record<string, string>>,
  ): Promise<string | undefined>;
}

/** The object cannot be read or written; the message says which, why and what to do. */
export class CopyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CopyError';
  }
}

/** How often changes of other machines are asked for. At 30 s an object costs 0.04 USD a month. */
export const EXCHANGE_INTERVAL_MS = 30_000;
