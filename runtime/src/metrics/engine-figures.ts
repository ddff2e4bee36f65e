/** What the engines' processes say of themselves, at /metrics: what their prompt caches hold, what guessing brought. */
import { Counter, Gauge, type Registry } from 'prom-client';

import type { Engine, EngineStatus } from '../engine/engine.js';

type Source = () => Iterable<Pick<Engine, 'model' | 'status'>>;
type Reader = (status: EngineStatus) => number | undefined;

/** `engines` is asked at each scrape. Those that do not tell of a figure have no series of it. */
export function registerEngineFigures(registry: Registry, prefix: string, engines: Source): void {
  const options = (name: string, help: string) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: ['model'],
    registers: [registry],
  });
  const fill = (metric: Gauge | Counter, read: Reader): void => {
    metric.reset();
    for (const engine of engines()) {
      const value = read(engine.status());
      if (value !== undefined) metric.inc({ model: engine.model.id }, value);
    }
  };
  const gauge = (name: string, read: Reader, help: string) =>
    new Gauge({
      ...options(name, help),
      collect() {
        fill(this, read);
      },
    });
  /** Counts from the start of the engine's process. */
  const counter = (name: string, read: Reader, help: string) =>
    new Counter({
      ...options(name, help),
      collect() {
        fill(this, read);
      },
    });

  gauge(
    'prompt_cache_bytes',
    ({ promptCache }) => promptCache?.bytes,
    'Memory of conversations that lost their sequence to another.',
  );
  gauge(
    'prompt_cache_limit_bytes',
    ({ promptCache }) => promptCache?.limitBytes,
    'Most memory that they may take (engine.prompt_cache_mib).',
  );
  gauge('prompt_cache_conversations', ({ promptCache }) => promptCache?.conversations, 'How many they are.');
  counter(
    'prompt_cache_hits_total',
    ({ promptCache }) => promptCache?.hits,
    'Prompts whose beginning came back from there instead of being read again.',
  );
  counter(
    'prompt_cache_evictions_total',
    ({ promptCache }) => promptCache?.evictions,
    'Conversations that went to make room for others.',
  );
  counter(
    'spec_decode_num_draft_tokens_total',
    ({ drafts }) => drafts?.tokens,
    'Guesses at how answers go on that were evaluated along with them (engine.prompt_lookup).',
  );
  counter(
    'spec_decode_num_accepted_tokens_total',
    ({ drafts }) => drafts?.accepted,
    'Those that were right: tokens of answers that took no step of their own.',
  );
}
