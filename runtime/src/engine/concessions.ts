import type { ModelSettings } from './options.js';

/** A setting that nobody has set, so that it may follow the memory that is there. */
export type Flexible = 'kvCacheType' | 'sequences' | 'contextSize';

/**
 * What is given up for a smaller need, the least missed first: half of the cache's precision costs a third of the
 * reading speed, fewer sequences make others wait, a shorter context refuses conversations.
 */
const ORDER: readonly Partial<Pick<ModelSettings, Flexible>>[] = [
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

/** What was given up, for people: the keys of the configuration. Empty when nothing was. */
export function describeConcessions(wanted: ModelSettings, taken: ModelSettings): string {
  return [
    ...(taken.kvCacheType === wanted.kvCacheType ? [] : [`kv_cache_type ${taken.kvCacheType}`]),
    ...(taken.sequences === wanted.sequences ? [] : [`sequences ${taken.sequences}`]),
    ...(taken.contextSize === wanted.contextSize ? [] : [`context_size ${taken.contextSize}`]),
  ].join(', ');
}
