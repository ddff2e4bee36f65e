import type { ModelSettings } from './options.js';

/** A setting that nobody has set, so that it may follow the memory that is there. */
export type Flexible = 'kvCacheType' | 'sequences' | 'contextSize';

/**
 * What is given up for a smaller need, the least missed first: four sequences instead of eight slow down nobody but a
 * crowd, half of the cache's precision costs a third of the reading speed, still fewer sequences make others wait, a
 * shorter context refuses conversations.
 */
const ORDER: readonly Partial<Pick<ModelSettings, Flexible>>[] = [
  { sequences: 4 },
  { kvCacheType: 'q8_0' },
  { sequences: 2 },
  { contextSize: 2048 },
  { sequences: 1 },
  { contextSize: 1024 },
];

/** The settings as they are wanted, then with one thing more given up each time. What somebody has set stays. */
export function concessions(wanted: ModelSettings): readonly ModelSettings[] {
  const steps = [wanted];
  for (const concession of ORDER) {
    const [name] = Object.keys(concession) as [Flexible];
    const last = steps.at(-1) ?? wanted;
    // llama.cpp keeps a quantised cache only with flash attention.
    const isPossible = name !== 'kvCacheType' || wanted.flashAttention;
    if (wanted.flexible.includes(name) && isPossible) steps.push({ ...last, ...concession });
  }
  return steps;
}

/**
 * With fewer sequences, and everything else as it is wanted: what several models have to share is not taken by one of
 * them for its eighth sequence, while another has to do with one.
 */
export function withFewerSequences(wanted: ModelSettings): ModelSettings {
  const [, gentlest = wanted] = concessions(wanted);
  return { ...wanted, sequences: gentlest.sequences };
}

/** What was given up, for people: the keys of the configuration. Empty when nothing was. */
export function describeConcessions(wanted: ModelSettings, taken: ModelSettings): string {
  return [
    ...(taken.kvCacheType === wanted.kvCacheType ? [] : [`kv_cache_type ${taken.kvCacheType}`]),
    ...(taken.sequences === wanted.sequences ? [] : [`sequences ${taken.sequences}`]),
    ...(taken.contextSize === wanted.contextSize ? [] : [`context_size ${taken.contextSize}`]),
  ].join(', ');
}

/** What to do about a model that does not fit. */
export const MEMORY_REMEDY =
  'lower engine.context_size or engine.sequences, set engine.kv_cache_type to q8_0, or take a smaller model or a ' +
  'larger machine';

/**
 * The first settings, in the order of {@link concessions}, whose need fits; `wanted` is what the model would need without
 * any. `needOf` is asked no further than that.
 */
export async function firstThatFits<Need>(
  settings: ModelSettings,
  needOf: (settings: ModelSettings) => Promise<Need>,
  fits: (need: Need) => boolean,
): Promise<{ readonly wanted: Need; readonly found?: { settings: ModelSettings; need: Need } }> {
  const wanted = await needOf(settings);
  if (fits(wanted)) return { wanted, found: { settings, need: wanted } };
  for (const lower of concessions(settings).slice(1)) {
    const need = await needOf(lower);
    if (fits(need)) return { wanted, found: { settings: lower, need } };
  }
  return { wanted };
}
