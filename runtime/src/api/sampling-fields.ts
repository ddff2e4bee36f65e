/** Fields that several routes have: what to sample, when to stop, who asks. */
import { z } from 'zod';

import { flag, integer, numberBetween, text } from '../config/fields.js';
import type { SamplingOptions } from '../engine/engine.js';

export interface RequestRules {
  /** The models served here; the first is the default. */
  readonly models: readonly string[];
  /** OpenAI's routes demand `model`; /api/v1/chat does not. */
  readonly modelRequired: boolean;
  /** Tokens of context: no answer can be longer. */
  readonly contextSize: number;
  /** A remote service answers, which judges schemas itself. @default false */
  readonly isRemote?: boolean;
  /** Used where the request names none. */
  readonly defaults: { readonly maxTokens: number; readonly temperature: number };
}

export const MOST_TOP_LOGPROBS = 20;

const STOP = 'a text, or a list of at most 4 texts, none empty';
const stopText = z.string({ error: STOP }).min(1, { error: STOP });

/** What the schema of a body depends on. */
export type BodyRules = Pick<RequestRules, 'models' | 'modelRequired' | 'contextSize'>;

/** Any name passes here: one that is not served is no mistake of form, and has an error of its own (404). */
export function modelField({ models, modelRequired }: Pick<RequestRules, 'models' | 'modelRequired'>) {
  const model = text(256).meta({ enum: models });
  return modelRequired ? model : model.nullish();
}

/** OpenAI's clients write null for "not set". */
export function samplingFields() {
  return {
    temperature: numberBetween(0, 2).nullish(),
    top_p: numberBetween(0, 1).nullish(),
    frequency_penalty: numberBetween(-2, 2).nullish(),
    presence_penalty: numberBetween(-2, 2).nullish(),
    seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).nullish(),
    stop: z.union([stopText, z.array(stopText).max(4, { error: STOP })], { error: STOP }).nullish(),
  };
}

export function streamFields() {
  return {
    stream: flag().nullish(),
    stream_options: z
      .strictObject(
        {
          include_usage: flag().nullish(),
          include_obfuscation: z.literal(false, { error: 'false' }).nullish(),
        },
        { error: '{"include_usage": true or false}' },
      )
      .nullish(),
  };
}

/** Names of OpenAI's for who asks; they do not change the answer. */
export function userFields() {
  return {
    user: text(512).nullish(),
    safety_identifier: text(512).nullish(),
    prompt_cache_key: text(512).nullish(),
  };
}

interface SamplingBody {
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  readonly seed?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
}

export function toSampling(
  body: SamplingBody,
  maxTokens: number | null | undefined,
  { defaults, contextSize }: Pick<RequestRules, 'defaults' | 'contextSize'>,
): SamplingOptions {
  const { seed, stop } = body;
  return {
    maxTokens: maxTokens ?? Math.min(defaults.maxTokens, contextSize),
    temperature: body.temperature ?? defaults.temperature,
    topP: body.top_p ?? 1,
    frequencyPenalty: body.frequency_penalty ?? 0,
    presencePenalty: body.presence_penalty ?? 0,
    stop: typeof stop === 'string' ? [stop] : (stop ?? []),
    ...(seed === undefined || seed === null ? {} : { seed: toUint32(seed) }),
  };
}

/** Samplers take 32 bits. */
function toUint32(seed: number): number {
  return Number(BigInt.asUintN(32, BigInt(seed)));
}
