/**
 * The access policy in force: read from its file, followed as the file changes, changed by the console. Where there is a
 * copy outside the machine, a change of either is taken over by the other.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { messageOf } from '../errors/message-of.js';
import { writeAtomically } from '../files/atomic-write.js';
import { withFileLock } from '../files/file-lock.js';
import { followFile } from '../files/follow-file.js';
import type { LogLevel } from '../log/logger.js';
import { EXCHANGE_INTERVAL_MS, type SharedObject } from '../state-copy/shared-object.js';
import { PolicyDesk } from './desk.js';
import { inWords } from './in-words.js';
import { LastCommon } from './last-common.js';
import { DEFAULT_REVISION, LastInForce } from './last-in-force.js';
import { type LocalPolicy, PolicyCopy } from './policy-copy.js';
import { parsePolicy, revisionOf } from './read.js';
import type { Policy } from './schema.js';
import { WordScreen } from './word-screen.js';

export const POLICY_FILE = 'policy.yaml';

export interface PolicyStoreOptions {
  /** Where `policy.yaml` lies, or will. Undefined: the default policy, which cannot be changed. */
  readonly directory: string | undefined;
  /** The configuration's limits.max_request_seconds. */
  readonly maxRequestSeconds: number;
  /** For the service, which answers requests meanwhile: see PolicyDesk. */
  readonly workerEntry?: string | undefined;
  /** What is in force is remembered for the next start. A command must not take its news from it. @default false */
  readonly isService?: boolean;
  /** For the command that replaces it: a broken file counts as the default policy. */
  readonly mayBeBroken?: boolean;
  /** What outlives the machine. @default there is no such copy */
  readonly copy?: SharedObject | undefined;
  /** Milliseconds between two looks at what other machines have changed. @default 30_000 */
  readonly exchangeIntervalMs?: number;
  readonly log: (level: LogLevel, text: string) => void;
}

/** Somebody else changed the policy in between. */
export class PolicyChanged extends Error {
  constructor() {
    super('the policy was changed by somebody else');
    this.name = 'PolicyChanged';
  }
}

/** Limits for one request. */
export interface RequestLimits {
  readonly overall: number;
  readonly perToken: number;
  readonly seconds: number;
}

interface InForce {
  readonly policy: Policy;
  readonly revision: string;
  readonly input: WordScreen;
  readonly output: WordScreen;
}

export class PolicyStore {
  readonly file: string | undefined;
  readonly #options: PolicyStoreOptions;
  readonly #desk: PolicyDesk;
  #inForce: InForce;
  /** The text in the file when it was read last, usable or not. */
  #text = '';
  #problem: string | undefined;
  /** Why the file could not be read when it was tried last. */
  #unreadable: string | undefined;
  #reading: Promise<void> = Promise.resolve();
  #stopFollowing: (() => void)[] = [];
  readonly #last: LastInForce | undefined;
  readonly #copy: PolicyCopy | undefined;
  #exchanging: Promise<void> = Promise.resolve();
  #copyProblem: string | undefined;

  private constructor(options: PolicyStoreOptions) {
    this.#options = options;
    this.#desk = new PolicyDesk(options);
    this.file = options.directory === undefined ? undefined : join(options.directory, POLICY_FILE);
    this.#inForce = {
      policy: parsePolicy('', options.maxRequestSeconds),
      revision: DEFAULT_REVISION,
      input: WordScreen.EMPTY,
      output: WordScreen.EMPTY,
    };
    this.#last =
      options.directory === undefined ? undefined : new LastInForce(options.directory, options.log);
    this.#copy = copyFor(options);
  }

  /**
   * @throws PolicyError: with no older policy to stay in force, a broken one stops the start
   * @throws CopyError where neither the file is there nor the copy can be read: there would be no limits and no rules
   */
  static async open(options: PolicyStoreOptions): Promise<PolicyStore> {
    const store = new PolicyStore(options);
    const deleted = await store.#deletedMeanwhile();
    await store.#meetCopy();
    store.#text = await store.#readText();
    try {
      store.#inForce = await compile(store.#text, store.#desk);
    } catch (error) {
      if (options.mayBeBroken !== true) throw error;
    }
    // Also where it is the one of before: whoever reads the log sees what was changed while the service was off.
    store.#announce(deleted);
    await store.#remember();
    return store;
  }

  /** Takes changes of the file over as they come. */
  follow(): void {
    if (this.file === undefined) return;
    const onChange = () => void this.reload().then(() => this.#exchange());
    this.#stopFollowing = [followFile(this.file, onChange)];
    if (this.#copy !== undefined) {
      const { exchangeIntervalMs = EXCHANGE_INTERVAL_MS } = this.#options;
      const timer = setInterval(() => void this.#exchange(), exchangeIntervalMs).unref();
      this.#stopFollowing.push(() => clearInterval(timer));
    }
  }

  close(): void {
    for (const stop of this.#stopFollowing.splice(0)) stop();
  }

  get policy(): Policy {
    return this.#inForce.policy;
  }

  get revision(): string {
    return this.#inForce.revision;
  }

  /** Why the file's present content is not in force. */
  get problem(): string | undefined {
    return this.#unreadable ?? this.#problem;
  }

  /** For what users send. */
  get input(): WordScreen {
    return this.#inForce.input;
  }

  /** For what the model answers. */
  get output(): WordScreen {
    return this.#inForce.output;
  }

  limitsFor(user: string | undefined): RequestLimits {
    const { sessions, users } = this.#inForce.policy;
    const own = user === undefined || !Object.hasOwn(users, user) ? undefined : users[user];
    return {
      overall: sessions.overall ?? Infinity,
      perToken: own?.per_token ?? sessions.per_token ?? Infinity,
      seconds:
        own?.longest_request_seconds ?? sessions.longest_request_seconds ?? this.#options.maxRequestSeconds,
    };
  }

  /** Reads the file again. Never rejects: a broken file leaves the old policy in force, and the log says so. */
  reload(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#reload());
    return this.#reading;
  }

  /**
   * Writes a new policy and puts it in force, with the comments of the one before. `revision` is the one that it is
   * based on.
   * @throws PolicyError, PolicyChanged
   */
  replace(value: unknown, revision?: string): Promise<void> {
    return this.#write((before) => this.#desk.rewrite(before, value), revision);
  }

  /** The same with a whole YAML text, which stays as it is. @throws PolicyError */
  async replaceText(text: string): Promise<void> {
    await this.#desk.read(text);
    await this.#write(() => Promise.resolve(text));
  }

  async #write(make: (before: string) => Promise<string>, revision?: string): Promise<void> {
    const { file } = this;
    if (file === undefined) throw new Error('there is no folder to keep the policy in');
    await withFileLock(file, async () => {
      const before = await this.#readText();
      if (revision !== undefined && revisionOf(before) !== revision) throw new PolicyChanged();
      await writeAtomically(file, await make(before), 0o640);
      // One after the other, and as the file is then: of two changes the newer stays.
      await this.reload();
    });
    await this.#exchange();
  }

  /** A machine that is new here must not begin without the policy of the one before it. */
  async #meetCopy(): Promise<void> {
    if (this.#copy === undefined) return;
    try {
      await this.#agree(this.#copy);
    } catch (error) {
      if ((await this.#readFile()) === undefined) throw error;
      this.#complain(error as Error);
    }
  }

  /** Never rejects: what could not be stored is stored at the next exchange, and is in force here. */
  #exchange(): Promise<void> {
    const copy = this.#copy;
    if (copy === undefined || this.problem !== undefined) return Promise.resolve();
    this.#exchanging = this.#exchanging.then(async () => {
      try {
        await this.#agree(copy);
        await this.reload();
        if (this.#copyProblem !== undefined) this.#options.log('INF', 'the copy of the policy agrees again');
        this.#copyProblem = undefined;
      } catch (error) {
        this.#complain(error as Error);
      }
    });
    return this.#exchanging;
  }

  async #agree(copy: PolicyCopy): Promise<void> {
    const { file } = this;
    if (file === undefined) return;
    const local = await this.#readFile();
    if (local !== undefined && !(await this.#isValid(local.text))) return;
    const newer = await copy.exchange(local);
    if (newer === undefined) return;
    await withFileLock(file, async () => {
      // Changed meanwhile: the next exchange sees it.
      if ((await this.#readFile())?.text !== local?.text) return;
      await writeAtomically(file, newer, 0o640);
      await copy.took(newer);
    });
  }

  /** A broken file is nobody's policy, so it stays here. */
  async #isValid(text: string): Promise<boolean> {
    if (text === this.#text && this.#problem === undefined) return true;
    try {
      await this.#desk.read(text);
      return true;
    } catch {
      return false;
    }
  }

  #complain({ message }: Error): void {
    if (this.#copyProblem !== message)
      this.#options.log('WRN', `${message}; the service tries again every 30 s`);
    this.#copyProblem = message;
  }

  async #reload(): Promise<void> {
    let file: LocalPolicy | undefined;
    try {
      file = await this.#readFile();
    } catch (error) {
      this.#unreadable = this.#refuse(error);
      return;
    }
    if (this.#unreadable !== undefined)
      this.#options.log('INF', `${this.file ?? 'the policy'} can be read again`);
    this.#unreadable = undefined;
    const text = file?.text ?? '';
    if (text === this.#text) return;
    try {
      await this.#take(text, file === undefined);
    } catch (error) {
      this.#problem = this.#refuse(error);
    }
  }

  #refuse(error: unknown): string {
    const problem = messageOf(error);
    this.#options.log(
      'ERR',
      `${this.file ?? 'the policy'} cannot be used, the one before stays in force: ${problem}`,
    );
    return problem;
  }

  async #take(text: string, isDeleted: boolean): Promise<void> {
    const before = this.revision === DEFAULT_REVISION ? undefined : this.revision;
    this.#text = text;
    this.#inForce = await compile(text, this.#desk);
    this.#problem = undefined;
    this.#announce(isDeleted ? this.#deletion('was deleted', before) : undefined);
    await this.#remember();
  }

  async #remember(): Promise<void> {
    if (this.#options.isService === true) await this.#last?.set(this.revision);
  }

  /** For people: see `#deletion`. Undefined where the file was not there when the service ended, or still is. */
  async #deletedMeanwhile(): Promise<string | undefined> {
    const before = await this.#last?.revision();
    const isKnown = before !== undefined || this.#copy?.hadPolicy === true;
    if (!isKnown || (await this.#readFile()) !== undefined) return undefined;
    return this.#deletion('was deleted while the service was off', before);
  }

  /** For people: which file is gone, and what was in force until then where that is known. */
  #deletion(what: string, before: string | undefined): string {
    return `${this.file ?? POLICY_FILE} ${what}${before === undefined ? '' : `, with access policy ${before}`}`;
  }

  #announce(deleted?: string): void {
    const { policy, revision } = this.#inForce;
    this.#options.log(
      'SEC',
      `${deleted === undefined ? '' : `${deleted}; `}access policy ${revision}` +
        `${revision === DEFAULT_REVISION ? ' (the default)' : ''} is in force${deleted === undefined ? '' : ' instead'}: ` +
        inWords(policy),
    );
  }

  async #readText(): Promise<string> {
    return (await this.#readFile())?.text ?? '';
  }

  async #readFile(): Promise<LocalPolicy | undefined> {
    if (this.file === undefined) return undefined;
    try {
      // The time first: a text that is newer than its time is stored once more, one that is older never would be.
      const { mtimeMs } = await stat(this.file);
      return { text: await readFile(this.file, 'utf8'), writtenAt: mtimeMs };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}

function copyFor({ directory, copy, log }: PolicyStoreOptions): PolicyCopy | undefined {
  if (directory === undefined || copy === undefined) return undefined;
  return new PolicyCopy(copy, new LastCommon({ directory, copyName: copy.name, log }));
}

/**
 * The requests that are answered meanwhile do not notice: they have their turn between parts of some milliseconds each.
 * @throws PolicyError
 */
async function compile(text: string, desk: PolicyDesk): Promise<InForce> {
  const policy = await desk.read(text);
  await setImmediate();
  const { words } = policy;
  const input = await WordScreen.compile(words.filter(({ on }) => on.includes('input')));
  const isSame = words.every(({ on }) => on.includes('input') && on.includes('output'));
  const output = isSame ? input : await WordScreen.compile(words.filter(({ on }) => on.includes('output')));
  return { policy, revision: revisionOf(text), input, output };
}
