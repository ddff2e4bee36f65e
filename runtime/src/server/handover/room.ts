/** Memory for the models of a process that takes over, where it does not hold them twice: this one's engines end first. */
import { setTimeout as sleep } from 'node:timers/promises';

import { SwitchableEngine } from '../../engine/switchable-engine.js';
import type { EngineFactory } from '../../serving/engine-factory.js';
import type { ServedModels } from '../../serving/served-models.js';
import { startLocalModels } from '../../serving/start-models.js';
import type { RunningServer } from '../server.js';

/** For the last words of answers that have had their time. */
const LAST_WORDS_MS = 2000;

export interface RoomOptions {
  readonly server: RunningServer;
  readonly models: ServedModels;
  readonly factory: EngineFactory;
}

export class Room {
  readonly #options: RoomOptions;
  #making: Promise<void> | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** From the beginning of `make` until the end of `takeBack`. */
  get isMade(): boolean {
    return this.#making !== undefined;
  }

  /** New connections wait; answers under way end, those that take longer than `limitMs` with what they have. */
  make(limitMs: number): Promise<void> {
    return (this.#making ??= this.#make(limitMs));
  }

  /** The process that was to take over does not: the engines are started again, and everything goes on. */
  async takeBack(): Promise<void> {
    if (this.#making === undefined) return;
    await this.#making.catch(() => undefined);
    const { server, models, factory } = this.#options;
    for (const { engine, config } of models.all)
      if (engine instanceof SwitchableEngine) engine.replaceSuspended(await factory.local(config));
    await startLocalModels(models, factory);
    for (const { engine } of models.all) if (engine instanceof SwitchableEngine) engine.resume();
    for (const listener of server.listeners.values()) listener.release();
    this.#making = undefined;
  }

  async #make(limitMs: number): Promise<void> {
    const { server, models } = this.#options;
    for (const listener of server.listeners.values()) listener.hold();
    const late = sleep(limitMs + LAST_WORDS_MS, undefined, { ref: false });
    await Promise.race([models.quiet(limitMs), late]);
    await Promise.all(
      models.all.map(async ({ engine }) => {
        if (engine instanceof SwitchableEngine) await engine.suspend();
      }),
    );
  }
}
