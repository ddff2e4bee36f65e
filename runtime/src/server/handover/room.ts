/** Memory for the models of a process that takes over, where it does not hold them twice: this one's engines end first. */
import { setTimeout as sleep } from 'node:timers/promises';

import { residentBytes } from '../../engine/memory.js';
import { messageOf } from '../../errors/message-of.js';
import type { Logger } from '../../log/logger.js';
import type { EngineFactory } from '../../serving/engine-factory.js';
import type { ServedModels } from '../../serving/served-models.js';
import { startLocalModels } from '../../serving/start-models.js';
import { orAfter } from '../or-after.js';
import type { RunningServer } from '../server.js';
import type { Predecessor } from './predecessor.js';

/** For the last words of answers that have had their time. */
const LAST_WORDS_MS = 2000;
/** The memory of a process that was killed comes back in its own time. */
const TRIES = 4;
const PAUSE_MS = 3000;

export interface RoomOptions {
  readonly server: RunningServer;
  readonly models: ServedModels;
  readonly factory: EngineFactory;
  readonly log: Logger;
  /** May still be ending its answers, with engines of its own. */
  readonly predecessor?: Predecessor | undefined;
}

export class Room {
  readonly #options: RoomOptions;
  #making: Promise<number> | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** From the beginning of `make` until the end of `takeBack`. */
  get isMade(): boolean {
    return this.#making !== undefined;
  }

  /**
   * New connections wait; answers under way end, those that take longer than `limitMs` with an error. Resolves to what
   * this process takes then, in bytes.
   */
  make(limitMs: number): Promise<number> {
    return (this.#making ??= this.#make(limitMs));
  }

  /**
   * The process that was to take over has ended: the engines are started again, and everything goes on.
   *
   * @throws Error where they cannot be: this process answers nothing any more
   */
  async takeBack(): Promise<void> {
    if (this.#making === undefined) return;
    await this.#making.catch(() => undefined);
    for (let left = TRIES - 1; ; left--) {
      try {
        await this.#startEngines();
        break;
      } catch (error) {
        if (left === 0) throw error;
        this.#options.log.log(
          'WRN',
          `reload: the engine does not come back, trying again: ${messageOf(error)}`,
        );
        await sleep(PAUSE_MS);
      }
    }
    const { server, models } = this.#options;
    for (const { engine } of models.local) engine.resume();
    for (const listener of server.listeners.values()) listener.release();
    this.#making = undefined;
  }

  async #startEngines(): Promise<void> {
    const { models, factory } = this.#options;
    for (const { engine, config } of models.local) engine.replaceSuspended(await factory.local(config));
    await startLocalModels(models, factory);
  }

  async #make(limitMs: number): Promise<number> {
    const { server, models, predecessor } = this.#options;
    for (const listener of server.listeners.values()) listener.hold();
    await Promise.all([
      server.quiet(AbortSignal.timeout(limitMs)),
      predecessor?.end(limitMs + LAST_WORDS_MS),
    ]);
    await orAfter(LAST_WORDS_MS, models.quiet(0));
    await Promise.all(models.local.map(({ engine }) => engine.suspend()));
    return residentBytes(process.pid);
  }
}
