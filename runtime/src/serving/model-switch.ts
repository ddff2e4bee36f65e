/**
 * Another model in the place of one that is served, without a restart. It is loaded beside the old one where the
 * memory allows, and in its place where not; where it does not answer, the old one goes on.
 */
import type { ResponseCaches } from '../cache/open.js';
import type { ModelConfig } from '../config/models.js';
import { modelIdOf } from '../config/schema.js';
import type { Engine } from '../engine/engine.js';
import { mebibytes, residentBytes, type availableMemory } from '../engine/memory.js';
import { SwitchableEngine } from '../engine/switchable-engine.js';
import { messageOf } from '../errors/message-of.js';
import type { Logger } from '../log/logger.js';
import type { EngineFactory } from './engine-factory.js';
import { prove } from './probe.js';
import {
  atMost,
  untouchedBytes,
  type NeedInAll,
  type ServedModel,
  type ServedModels,
} from './served-models.js';

/** Stays free while two models are loaded: for what running answers still take. */
export const HEADROOM_BYTES = 128 * 1024 * 1024;

export interface SwitchOrder {
  /** A GGUF file that this process may read. */
  readonly path: string;
  /** The name clients use from then on. Default: the configured one, else the file's. */
  readonly name?: string | undefined;
  /** The name of the model whose place it takes. Default: the default model's. */
  readonly replaces?: string | undefined;
}

export interface ModelSwitchOptions {
  readonly models: ServedModels;
  readonly factory: Pick<EngineFactory, 'local' | 'estimate'>;
  readonly caches: Pick<ResponseCaches, 'of'>;
  readonly log: Logger;
  /** Memory that is free. */
  readonly available: typeof availableMemory;
  /** How long running answers may take to end on the old engine. */
  readonly limitMs: number;
}

/** The order cannot be carried out; nothing has changed. */
export class SwitchRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SwitchRefused';
  }
}

interface Places {
  readonly served: ServedModel;
  readonly engine: SwitchableEngine;
  readonly next: ModelConfig;
}

/** Figures in bytes. */
interface SwitchPlan {
  /** The memory holds both models. */
  readonly beside: boolean;
  /** Free, but to stay so while both are loaded. */
  readonly reserved: number;
  /** Free, but other models will take it as their conversations grow. */
  readonly ofOthers: number;
  /** Free once the old model is gone. */
  readonly returning: number;
  /** What the new model will take in all. */
  readonly need: NeedInAll;
}

export class ModelSwitch {
  readonly #options: ModelSwitchOptions;
  #isBusy = false;

  constructor(options: ModelSwitchOptions) {
    this.#options = options;
  }

  /**
   * No switch from now on, until the returned function is called: this process is about to give its place away.
   * @throws SwitchRefused while one is under way
   */
  hold(): () => void {
    if (this.#isBusy) throw new SwitchRefused('a switch of models is under way');
    this.#isBusy = true;
    return () => (this.#isBusy = false);
  }

  /**
   * Resolves to the new model's name when it takes requests and the old one has ended. `say` gets a line for each step.
   * @throws SwitchRefused, or the reason why the new model does not answer; the old one goes on then
   */
  async run(order: SwitchOrder, say: (line: string) => void): Promise<string> {
    if (this.#isBusy) throw new SwitchRefused('another switch, or a reload, is under way');
    this.#isBusy = true;
    const tell = (line: string) => {
      this.#options.log.log('INF', `switch of models: ${line}`);
      say(line);
    };
    try {
      const places = this.#places(order);
      const plan = await this.#plan(places);
      if (plan.beside) await this.#beside(places, plan, tell);
      else await this.#inPlace(places, plan, tell);
      return places.next.id;
    } catch (error) {
      const text = messageOf(error);
      this.#options.log.log('ERR', `switch of models: not switched: ${text}`);
      throw error;
    } finally {
      this.#isBusy = false;
    }
  }

  #places({ path, name, replaces }: SwitchOrder): Places {
    const { models } = this.#options;
    const served = replaces === undefined ? models.default : models.named(replaces);
    if (served === undefined) {
      throw new SwitchRefused(`no model is called ${replaces}; served are ${models.names.join(', ')}`);
    }
    const { engine } = served;
    if (!(engine instanceof SwitchableEngine)) {
      throw new SwitchRefused(
        `${engine.model.id} is a remote service's: change the configuration and restart`,
      );
    }
    if (engine.status().state !== 'ready') {
      throw new SwitchRefused(`${engine.model.id} is ${engine.status().state}; try again when it is ready`);
    }
    const written = name ?? served.config.name;
    const id = modelIdOf({ model_name: written, model_path: path });
    if (models.named(id) !== undefined && models.named(id) !== served) {
      throw new SwitchRefused(`another model is called ${id} already; give this one a name of its own`);
    }
    return { served, engine, next: { ...served.config, id, path, name: written } };
  }

  /** @throws SwitchRefused where the new model does not even fit without the old one */
  async #plan({ served, engine, next }: Places): Promise<SwitchPlan> {
    const { models, factory } = this.#options;
    const { local } = models;
    const estimates = await factory.estimate([...local.map(({ config }) => config), next]);
    const newest = estimates.at(-1);
    if (newest === undefined || 'problem' in newest)
      throw new SwitchRefused(newest?.problem ?? 'no estimate');
    const untouched = await Promise.all(
      local.map(async (model, index) => {
        const estimate = estimates[index];
        return estimate !== undefined && 'bytes' in estimate ? untouchedBytes(model, estimate) : 0;
      }),
    );
    const claimed = untouched.reduce((sum, bytes) => sum + bytes, 0);
    const reserved = HEADROOM_BYTES + claimed;
    const returning = await residentBytes(engine.pid);
    const free = (await this.#options.available())?.bytes ?? Infinity;
    const ownUntouched = untouched[local.findIndex((model) => model === served)] ?? 0;
    const ofOthers = claimed - ownUntouched;
    const without = free + returning - ofOthers;
    if (newest.leastBytes > without) {
      throw new SwitchRefused(
        `${next.path} needs ${mebibytes(newest.leastBytes)} of memory, and ${mebibytes(Math.max(0, without))} would be ` +
          'free without the old model; take a smaller model, a smaller engine.context_size or fewer engine.sequences',
      );
    }
    // Rather with fewer sequences than with a pause.
    const beside = newest.fewer.bytes <= free - reserved;
    return { beside, reserved, ofOthers, returning, need: atMost(newest, without) };
  }

  async #beside(
    { served, engine, next }: Places,
    { reserved, returning, need }: SwitchPlan,
    say: (line: string) => void,
  ): Promise<void> {
    const { factory, caches, limitMs } = this.#options;
    say(`the memory holds both: ${next.path} is loaded beside the model that runs`);
    const cache = await caches.of(next);
    const memory = { reservedBytes: reserved, returningBytes: returning };
    const { ended } = await engine.replaceBeside(await factory.local(next), {
      memory,
      prove: proofOfKind(engine),
      limitMs,
    });
    Object.assign(served, { config: next, cache, need });
    say('it answered; new requests go to it, and what runs ends on the old one');
    await ended;
    say(`switched: ${next.id} is ${next.path} now`);
  }

  async #inPlace(
    { served, engine, next }: Places,
    { ofOthers, need }: SwitchPlan,
    say: (line: string) => void,
  ): Promise<void> {
    const { factory, caches, limitMs } = this.#options;
    const old = engine.model.id;
    const before = served.config;
    say(
      'the memory does not hold both: new requests wait while running answers end and the models change places',
    );
    const cache = await caches.of(next);
    await engine.replaceInPlace(await factory.local(next), {
      memory: { reservedBytes: ofOthers, returningBytes: 0 },
      prove: proofOfKind(engine),
      limitMs,
      again: () => {
        say(`${next.path} does not answer; ${old} is loaded again`);
        return factory.local(before);
      },
    });
    Object.assign(served, { config: next, cache, need });
    say(`switched: ${next.id} is ${next.path} now`);
  }
}

/** Requests for the old model have to be answered by the new one: it has to make what that made. */
function proofOfKind({ model }: Engine): (next: Engine) => Promise<void> {
  const before = model.makes ?? 'text';
  return async (next) => {
    const { makes = 'text' } = next.model;
    if (makes !== before) throw new Error(`it makes ${makes}, and ${model.id} makes ${before}`);
    await prove(next);
  };
}
