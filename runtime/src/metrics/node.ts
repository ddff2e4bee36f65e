/** Node's own figures at /metrics: memory, garbage collection, handles. */
import { collectDefaultMetrics, type Registry } from 'prom-client';

/**
 * The library can watch the event loop's delay only with a timer of so many milliseconds, 10 by default: a hundred times a
 * second it took a processor from the evaluation. The loop is looked at once a minute instead, and what that yields says
 * nothing, so it is not shown; the lag at the time of the scrape is.
 */
const LOOP_WATCH_MS = 60_000;
const OF_LOOP_WATCH = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];
/** Sums of the gauges of the same name by type. Their names end as a counter's, which `promtool check metrics` refuses. */
const SUMS = ['handles', 'requests', 'resources'];

export function registerNodeMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_WATCH_MS });
  for (const figure of OF_LOOP_WATCH) registry.removeSingleMetric(`nodejs_eventloop_lag_${figure}_seconds`);
  for (const sum of SUMS) registry.removeSingleMetric(`nodejs_active_${sum}_total`);
}
