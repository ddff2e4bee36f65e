/** What the engines' prompt caches hold, and how often they helped, at /metrics. */
import { Counter, Gauge, type Registry } from 'prom-client';

import type { Engine, PromptCacheFigures } from '../engine/engine.js';

type Source = () => Iterable<Pick<Engine, 'model' | 'status'>>;

/** `engines` is asked at each scrape. Those without a prompt cache have no series. */
export function registerPromptCacheMetrics(registry: Registry, prefix: string, engines: Source): void {
  const options = (name: string, help: string) => ({
    name: `${prefix}prompt_cache_${name}`,
    help,
    labelNames: ['model'],
    registers: [registry],
  });
  const fill = (metric: Gauge | Counter, key: keyof PromptCacheFigures): void => {
    metric.reset();
    for (const engine of engines()) {
      const value = engine.status().promptCache?.[key];
      if (value !== undefined) metric.inc({ model: engine.model.id }, value);
    }
  };
  const gauge = (name: string, key: keyof PromptCacheFigures, help: string) =>
    new Gauge({
      ...options(name, help),
      collect() {
        fill(this, key);
      },
    });
  /** Counts from the start of the engine's process. */
  const counter = (name: string, key: keyof PromptCacheFigures, help: string) =>
    new Counter({
      ...options(name, help),
      collect() {
        fill(this, key);
      },
    });

  gauge('bytes', 'bytes', 'Memory of conversations that lost their sequence to another.');
  gauge('limit_bytes', 'limitBytes', 'Most memory that they may take (engine.prompt_cache_mib).');
  gauge('conversations', 'conversations', 'How many they are.');
  counter('hits_total', 'hits', 'Prompts whose beginning came back from there instead of being read again.');
  counter('evictions_total', 'evictions', 'Conversations that went to make room for others.');
}
