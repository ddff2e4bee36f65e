/** The models that this process serves: each an engine with a door and, where answers are kept, a cache of its own. */
import { Admission, Sessions } from '../api/admission.js';
import type { ResponseCache } from '../cache/response-cache.js';
import type { ModelConfig } from '../config/models.js';
import type { Engine } from '../engine/engine.js';
import type { ModelNeed } from '../engine/estimate-models.js';
import { residentBytes } from '../engine/memory.js';
import { SwitchableEngine } from '../engine/switchable-engine.js';

export interface ServedModel {
  /** What it was made of; another after a switch. */
  config: ModelConfig;
  readonly engine: Engine;
  readonly admission: Admission;
  /** What a local one will take in all, its prompt cache aside. Undefined where it is the only one: nobody has to know. */
  need: NeedInAll | undefined;
  /** Undefined where it is switched off. Another one after a switch: what another model said is no answer. */
  cache: ResponseCache | undefined;
}

/** Its engine is a process of this service's. */
export type LocalModel = ServedModel & { readonly engine: SwitchableEngine };

function isLocal(model: ServedModel): model is LocalModel {
  return model.engine instanceof SwitchableEngine;
}

/** With the settings that are wanted, and with fewer sequences. */
export type NeedInAll = Pick<ModelNeed, 'bytes' | 'fewer'>;

/** Where it has to do with less. */
export function atMost({ bytes, fewer }: NeedInAll, most: number): NeedInAll {
  return { bytes: Math.min(bytes, most), fewer: { ...fewer, bytes: Math.min(fewer.bytes, most) } };
}

/**
 * Of what a local model that runs needs in all, what it does not have yet and will take as conversations grow: free, as
 * the system sees it, and not for others.
 */
export async function untouchedBytes(model: ServedModel, { bytes, fewer }: NeedInAll): Promise<number> {
  if (!isLocal(model)) return 0;
  const { engine } = model;
  const whole = engine.model.sequences <= fewer.sequences ? fewer.bytes : bytes;
  return Math.max(0, whole - (await residentBytes(engine.pid)));
}

export type ModelParts = Pick<ServedModel, 'config' | 'engine'> & Partial<Pick<ServedModel, 'cache'>>;

export class ServedModels {
  readonly all: readonly ServedModel[];
  /** Answers where a request names none. */
  readonly default: ServedModel;

  /** @param parts the default one first @param maxQueue of each: how many requests may wait */
  constructor(parts: readonly ModelParts[], maxQueue: number) {
    const sessions = new Sessions();
    this.all = parts.map(({ config, engine, cache }) => ({
      config,
      engine,
      admission: new Admission(engine, maxQueue, sessions),
      need: undefined,
      cache,
    }));
    const [first] = this.all;
    if (first === undefined) throw new RangeError('a service needs at least one model');
    this.default = first;
  }

  get local(): readonly LocalModel[] {
    return this.all.filter(isLocal);
  }

  /** What clients may name. A name can change: a model that is switched may bring its own. */
  get names(): readonly string[] {
    return this.all.map(({ engine }) => engine.model.id);
  }

  named(name: unknown): ServedModel | undefined {
    return this.all.find(({ engine }) => engine.model.id === name);
  }

  /** The one that the body of a request names, else the default: whether the name is right is checked with the body. */
  chosenBy(body: unknown): ServedModel {
    const name = typeof body === 'object' && body !== null && 'model' in body ? body.model : undefined;
    return this.named(name) ?? this.default;
  }

  /** Requests that are inside, in all. */
  get inside(): number {
    return this.all.reduce((sum, { admission }) => sum + admission.inside, 0);
  }

  /** What all but the one with this `key` (see ModelConfig) will still take, in bytes. */
  async promisedBeside(key: string): Promise<number> {
    const others = this.all.filter(({ config }) => config.key !== key);
    const promised = await Promise.all(
      others.map(async (model) => (model.need === undefined ? 0 : untouchedBytes(model, model.need))),
    );
    return promised.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** See Admission. */
  async quiet(limitMs: number): Promise<void> {
    await Promise.all(this.all.map(({ admission }) => admission.quiet(limitMs)));
  }

  /** See Admission. */
  async drain(limitMs: number): Promise<void> {
    await Promise.all(this.all.map(({ admission }) => admission.drain(limitMs)));
  }
}
