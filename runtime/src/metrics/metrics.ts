/** What Prometheus reads at /metrics. Names and meaning follow vLLM's, so that dashboards carry over. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import type { RequestFigures } from './cloudwatch.js';
import type { EngineStatus } from '../engine/engine.js';
import { registerEngineFigures } from './engine-figures.js';
import { registerHostMetrics } from './host.js';
import { registerNodeMetrics } from './node.js';
import type { ServedModels } from '../serving/served-models.js';

const PREFIX = 'botstack_';

/** From a short answer on a fast machine to the longest request allowed. */
const LATENCY_BUCKETS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300];
const FIRST_TOKEN_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60];
const TOKEN_GAP_BUCKETS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.4, 0.8, 1.6, 5];

export interface Metrics {
  readonly registry: Registry;
  /** Seconds from arrival to the first piece of the answer. */
  readonly timeToFirstToken: Histogram<'model'>;
  /** Seconds between two pieces of one answer, per token. */
  readonly interTokenLatency: Histogram<'model'>;
  /** Seconds from arrival to the end of the answer. */
  readonly requestLatency: Histogram<'model'>;
  /** Seconds from arrival to the engine's taking the request up. */
  readonly queueTime: Histogram<'model'>;
  readonly promptTokens: Counter<'model'>;
  readonly cachedTokens: Counter<'model'>;
  readonly generationTokens: Counter<'model'>;
  /** Deterministic requests, by whether the response cache had the answer. */
  readonly cacheLookups: Counter<'result'>;
  /** Every answered HTTP request, probes included. */
  readonly requests: Counter<'route' | 'status' | 'code'>;
  /** Gets every answered request but probes, where somebody keeps figures beside Prometheus. */
  readonly recordRequest?: (figures: RequestFigures) => void;
}

export interface MetricsOptions {
  readonly models: Pick<ServedModels, 'all' | 'default' | 'names'>;
  readonly version: string;
  readonly recordRequest?: (figures: RequestFigures) => void;
}

export function createMetrics({ models, version, recordRequest }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  registerNodeMetrics(registry);
  registerHostMetrics(registry, PREFIX);
  registerEngineFigures(registry, PREFIX, () => models.all.map(({ engine }) => engine));

  const histogram = (name: string, help: string, buckets: number[]) => {
    const made = new Histogram({ name: `${PREFIX}${name}`, help, buckets, labelNames: ['model'], registers });
    for (const model of models.names) made.zero({ model });
    return made;
  };
  const counter = (name: string, help: string) => {
    const made = new Counter({ name: `${PREFIX}${name}`, help, labelNames: ['model'], registers });
    for (const model of models.names) made.inc({ model }, 0);
    return made;
  };
  /** Read from the engines at each scrape: no copy that could go stale. */
  const gauge = (name: string, help: string, read: (status: EngineStatus) => number) =>
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      labelNames: ['model'],
      registers,
      collect() {
        this.reset();
        for (const { engine } of models.all) this.set({ model: engine.model.id }, read(engine.status()));
      },
    });

  gauge('num_requests_running', 'Requests that hold a sequence.', ({ running }) => running);
  gauge('num_requests_waiting', 'Requests that wait for a sequence.', ({ waiting }) => waiting);
  gauge('engine_ready', '1 when the model answers, else 0.', ({ state }) => (state === 'ready' ? 1 : 0));
  gauge('engine_restarts', 'Restarts of the engine process since the start.', ({ restarts }) => restarts);

  new Gauge({
    name: `${PREFIX}build_info`,
    help: 'Always 1; the labels tell what runs, and which model answers where none is named.',
    labelNames: ['version', 'node', 'model'],
    registers,
    collect() {
      this.reset();
      this.set({ version, node: process.versions.node, model: models.default.engine.model.id }, 1);
    },
  });

  return {
    registry,
    ...(recordRequest === undefined ? {} : { recordRequest }),
    timeToFirstToken: histogram(
      'time_to_first_token_seconds',
      'From arrival to the first piece of the answer.',
      FIRST_TOKEN_BUCKETS,
    ),
    interTokenLatency: histogram(
      'inter_token_latency_seconds',
      'Between two tokens of one answer.',
      TOKEN_GAP_BUCKETS,
    ),
    requestLatency: histogram(
      'e2e_request_latency_seconds',
      'From arrival to the end of the answer.',
      LATENCY_BUCKETS,
    ),
    queueTime: histogram(
      'request_queue_time_seconds',
      'From arrival to the start of the work.',
      FIRST_TOKEN_BUCKETS,
    ),
    promptTokens: counter('prompt_tokens_total', 'Tokens of prompts, cached ones included.'),
    cachedTokens: counter(
      'prompt_tokens_cached_total',
      'Tokens of prompts that did not have to be read again.',
    ),
    generationTokens: counter('generation_tokens_total', 'Tokens of answers.'),
    cacheLookups: new Counter({
      name: `${PREFIX}response_cache_lookups_total`,
      help: 'Requests that the response cache was asked for, by result: hit or miss.',
      labelNames: ['result'],
      registers,
    }),
    requests: new Counter({
      name: `${PREFIX}requests_total`,
      help: 'Answered HTTP requests by route, status and error code.',
      labelNames: ['route', 'status', 'code'],
      registers,
    }),
  };
}
