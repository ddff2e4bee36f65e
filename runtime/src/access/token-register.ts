/**
 * The register of access tokens: which were issued, to whom, which are revoked. One sealed file, changed by the
 * service and by the `bot token` commands; the service notices a change within half a second.
 *
 * A token needs no entry to be valid (its signature says so); the register is what takes validity away. That is why it
 * has a copy outside the machine, where there is one: a machine that takes another's place must know what was revoked.
 */
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import { withFileLock } from '../files/file-lock.js';
import { followFile } from '../files/follow-file.js';
import type { LogLevel } from '../log/logger.js';
import { EXCHANGE_INTERVAL_MS, type SharedObject } from '../state-copy/shared-object.js';
import { signAccessToken, type AccessToken } from './access-token.js';
import type { ApiKeys } from './api-keys.js';
import {
  createRevocationCheck,
  EMPTY,
  isSame,
  merged,
  withoutEnded,
  withRevoked,
  withToken,
  withUserRevoked,
  type RegisterContent,
  type TokenRecord,
} from './register-content.js';
import { RegisterCopy } from './register-copy.js';
import { openRegister, parseRegister, REGISTER_FILE, RegisterError, sealRegister } from './register-file.js';
import type { Scope } from './scopes.js';
import type { Encryption, Opened } from './sealed.js';

export interface TokenRegisterOptions {
  /** Where the file lies; must exist. */
  readonly directory: string;
  readonly encryption: Encryption;
  readonly keys: ApiKeys;
  /** What outlives the machine. @default there is no such copy */
  readonly copy?: SharedObject | undefined;
  /** Milliseconds between two looks at what other machines have changed. @default 30_000 */
  readonly exchangeIntervalMs?: number;
  readonly log: (level: LogLevel, text: string) => void;
}

export interface IssueOrder {
  readonly user: string;
  readonly scopes: readonly Scope[];
  readonly expirySeconds: number;
  readonly issuedBy?: string;
}

type Verdict = 'valid' | 'revoked' | 'unavailable';

export class TokenRegister {
  readonly #options: TokenRegisterOptions;
  readonly #file: string;
  #content = EMPTY;
  #isRevoked = createRevocationCheck(EMPTY);
  /** Why revocations are not known. Tokens are refused then: one of them may be revoked. */
  #problem: string | undefined;
  #reading: Promise<void> = Promise.resolve();
  #stopFollowing: (() => void)[] = [];
  readonly #copy: RegisterCopy | undefined;
  #exchanging: Promise<void> = Promise.resolve();
  #copyProblem: string | undefined;
  /** Whether this machine has, or has had, all that the copy says. */
  #isComplete = true;

  private constructor(options: TokenRegisterOptions) {
    this.#options = options;
    this.#file = join(options.directory, REGISTER_FILE);
    this.#copy =
      options.copy &&
      new RegisterCopy({
        object: options.copy,
        open: (sealed) => this.#unseal(sealed),
        parse: parseRegister,
        seal: (content) => this.#seal(content),
        log: options.log,
      });
  }

  /**
   * Reads the register once. A file that cannot be used is a problem to report, not a reason not to start.
   * @throws RegisterError where neither the file is there nor the copy can be read: revoked tokens would be valid again
   */
  static async open(options: TokenRegisterOptions): Promise<TokenRegister> {
    const register = new TokenRegister(options);
    await register.#read({ mayBeginAnew: true });
    await register.#meetCopy();
    return register;
  }

  /** For the service: follows changes that commands make, and seals the file anew when the API key changes. */
  follow(): void {
    const onChange = () => void this.refresh().then(() => this.#exchange());
    const onKeys = () => {
      this.#copy?.forget();
      onChange();
    };
    this.#stopFollowing = [followFile(this.#file, onChange), this.#options.keys.onChange(onKeys)];
    if (this.#copy !== undefined) {
      const { exchangeIntervalMs = EXCHANGE_INTERVAL_MS } = this.#options;
      const timer = setInterval(() => void this.#exchange(), exchangeIntervalMs).unref();
      this.#stopFollowing.push(() => clearInterval(timer));
    }
  }

  close(): void {
    for (const stop of this.#stopFollowing.splice(0)) stop();
  }

  /** Why the register cannot be used now. */
  get problem(): string | undefined {
    return this.#problem;
  }

  verdict(token: { readonly id: string; readonly user: string; readonly issuedAt: number }): Verdict {
    if (this.#problem !== undefined) return 'unavailable';
    return this.#isRevoked(token) ? 'revoked' : 'valid';
  }

  /** Newest first. @throws RegisterError */
  list(): readonly TokenRecord[] {
    if (this.#problem !== undefined) throw new RegisterError(this.#problem);
    return [...this.#content.tokens].reverse();
  }

  /** Signs a token and enters it. @throws RegisterError */
  async issue({ user, scopes, expirySeconds, issuedBy }: IssueOrder): Promise<AccessToken> {
    const [apiKey] = this.#options.keys.current();
    if (apiKey === undefined) throw new RegisterError('there is no API key to sign with');
    const token = await signAccessToken(apiKey.value, user, expirySeconds, scopes);
    const { id, issuedAt, expiresAt } = token;
    const record: TokenRecord = {
      id,
      user,
      scopes: [...scopes],
      issuedAt,
      expiresAt: Math.floor(expiresAt.getTime() / 1000),
      ...(issuedBy === undefined ? {} : { issuedBy }),
    };
    await this.#change((content) => withToken(content, record));
    await this.#exchange();
    return token;
  }

  /** Resolves to the token's record as it stood; undefined for one that the register does not know. @throws RegisterError */
  async revoke(id: string): Promise<TokenRecord | undefined> {
    let known: TokenRecord | undefined;
    await this.#change((content) => {
      known = content.tokens.find((token) => token.id === id);
      return withRevoked(content, id, unixNow());
    });
    await this.#exchange();
    return known;
  }

  /** Revokes everything that was issued to a user so far. Resolves to the number of entries. @throws RegisterError */
  async revokeUser(user: string): Promise<number> {
    let count = 0;
    await this.#change((content) => {
      count = content.tokens.filter((token) => token.user === user && token.revokedAt === undefined).length;
      return withUserRevoked(content, user, unixNow());
    });
    await this.#exchange();
    return count;
  }

  /** Reads the file again. Never rejects: a problem is kept and logged. */
  refresh(): Promise<void> {
    // One after the other, so that an older reading never overtakes a newer one.
    this.#reading = this.#reading.then(() => this.#read({ mayBeginAnew: false }));
    return this.#reading;
  }

  async #read({ mayBeginAnew }: { readonly mayBeginAnew: boolean }): Promise<void> {
    try {
      const { content, isStale } = await this.#load(mayBeginAnew);
      this.#take(content);
      if (isStale) await this.#sealAnew();
    } catch (error) {
      const text = messageOf(error);
      if (this.#problem !== text) this.#options.log('SEC', text);
      this.#problem = text;
    }
  }

  /** After a rotation, while the previous key still opens the file. */
  async #sealAnew(): Promise<void> {
    try {
      await this.#change((same) => same);
      this.#options.log('INF', `${this.#file} is sealed under the current API key now`);
    } catch (error) {
      // What it holds is known; the next change, or the next start, tries again.
      this.#options.log('WRN', `${this.#file} could not be sealed anew: ${(error as Error).message}`);
    }
  }

  async #change(edit: (content: RegisterContent) => RegisterContent): Promise<void> {
    await withFileLock(this.#file, async () => {
      const { content } = await this.#load(false);
      const next = withoutEnded(edit(content), unixNow());
      await writeAtomically(this.#file, this.#seal(next));
      this.#take(next);
    });
  }

  /** The first exchange: a machine that is new here must not begin without what the one before it knew. */
  async #meetCopy(): Promise<void> {
    if (this.#copy === undefined) return;
    this.#isComplete = (await readIfThere(this.#file)) !== undefined;
    await this.#exchange({ isStart: true });
    if (!this.#isComplete) throw new RegisterError(this.#copyProblem ?? 'the register has no copy');
  }

  /**
   * Takes over what other machines know, and tells them what is known here. Never rejects: what could not be told is told
   * at the next exchange, and is in force here.
   */
  #exchange({ isStart = false } = {}): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined) return Promise.resolve();
    this.#exchanging = this.#exchanging.then(async () => {
      try {
        const join = (theirs: RegisterContent) => this.#join(theirs);
        await copy.exchange({ join, isStart, isComplete: this.#isComplete });
        this.#isComplete = true;
        if (this.#copyProblem !== undefined)
          this.#options.log('INF', 'the copy of the register agrees again');
        this.#copyProblem = undefined;
      } catch (error) {
        const text = (error as Error).message;
        if (this.#copyProblem !== text)
          this.#options.log('WRN', `${text}; the service tries again every 30 s`);
        this.#copyProblem = text;
      }
    });
    return this.#exchanging;
  }

  async #join(theirs: RegisterContent): Promise<RegisterContent> {
    const now = unixNow();
    const known = withoutEnded(merged(this.#content, theirs), now);
    if (!isSame(known, this.#content)) await this.#change((content) => merged(content, theirs));
    return this.#content;
  }

  #seal(content: RegisterContent): Buffer {
    const { keys, encryption } = this.#options;
    const [apiKey] = keys.current();
    if (apiKey === undefined) throw new RegisterError('there is no API key to seal the register with');
    return sealRegister(content, apiKey.value, encryption);
  }

  async #unseal(sealed: Buffer): Promise<Opened> {
    const { keys, encryption } = this.#options;
    const open = () =>
      openRegister(
        sealed,
        keys.current().map((key) => key.value),
        encryption,
      );
    const opened = open();
    // Another process may have heard of a new key before this one.
    return !opened.ok && opened.reason === 'unknown_key' && (await keys.refresh()) ? open() : opened;
  }

  #take(content: RegisterContent): void {
    if (this.#problem !== undefined) this.#options.log('INF', `${this.#file} can be used again`);
    this.#problem = undefined;
    this.#content = content;
    this.#isRevoked = createRevocationCheck(content);
  }

  async #load(mayBeginAnew: boolean): Promise<{ content: RegisterContent; isStale: boolean }> {
    const sealed = await readIfThere(this.#file);
    if (sealed === undefined) return { content: EMPTY, isStale: false };
    const opened = await this.#unseal(sealed);
    if (opened.ok) return { content: parseRegister(this.#file, opened.content), isStale: opened.isStale };
    if (opened.reason === 'damaged') throw damaged(this.#file);
    if (!mayBeginAnew) {
      throw new RegisterError(
        `${this.#file} is sealed under an API key that this process does not know: access tokens are refused, ` +
          'API keys go on. Restart the service, so that it reads its configuration again',
      );
    }
    return this.#beginAnew();
  }

  /**
   * Sealed under a key that is neither current nor previous: every token that the file can speak of was signed under
   * that key or an older one, and is refused for that. So nothing is lost.
   */
  async #beginAnew(): Promise<{ content: RegisterContent; isStale: boolean }> {
    const aside = `${this.#file}.${unixNow()}`;
    await rename(this.#file, aside);
    this.#options.log(
      'SEC',
      `${this.#file} was sealed under an API key that is no longer valid; kept as ${aside}, begun anew`,
    );
    return { content: EMPTY, isStale: false };
  }
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const remedy = code === 'EACCES' ? 'run as the user `bot`, or with sudo' : 'check the disk';
    throw new RegisterError(`the token register cannot be read: ${message}; ${remedy}`);
  }
}

function damaged(file: string): RegisterError {
  return new RegisterError(
    `${file} is damaged or was tampered with: access tokens are refused, API keys go on. ` +
      'Restore it from a backup, or rotate the API key twice and remove it: removed alone, revoked tokens are valid again',
  );
}

function unixNow(): number {
  return Math.floor(Date.now() / 1000);
}
