import { Counter, Histogram, Registry } from '../../../runtime/node_modules/prom-client';
import { createRate, parseMetrics, quantileOf, sumOf } from '../../../runtime/console/lib/metrics.js';

describe('metrics', () => {
  const registers = [new Registry()];
  const requests = new Counter({
    name: 'requests_total',
    help: 'h',
    labelNames: ['route', 'status'],
    registers,
  });
  const wait = new Histogram({ name: 'wait_seconds', help: 'h', buckets: [0.1, 0.5, 1], registers });
  requests.inc({ route: 'a "quoted", {odd} \\ route', status: '200' }, 3);
  requests.inc({ route: 'b', status: '503' });
  for (const seconds of [0.05, 0.05, 0.3, 0.3, 0.3, 0.3, 0.9, 0.9, 0.9, 4]) wait.observe(seconds);

  it('are read from what prom-client writes, labels and all', async () => {
    const samples = parseMetrics(await registers[0]!.metrics());
    expect(samples).toContainEqual({
      name: 'requests_total',
      labels: { route: 'a "quoted", {odd} \\ route', status: '200' },
      value: 3,
    });
    expect(sumOf(samples, 'requests_total')).toBe(4);
    expect(sumOf(samples, 'requests_total', ({ status }) => status === '503')).toBe(1);
    expect(sumOf(samples, 'no_such_total')).toBeUndefined();
  });

  it('give quantiles as PromQL does: linear within the bucket, its lower bound in the last', async () => {
    const samples = parseMetrics(await registers[0]!.metrics());
    expect(quantileOf(samples, 'wait_seconds', 0.5)).toBeCloseTo(0.1 + 0.4 * (3 / 4));
    expect(quantileOf(samples, 'wait_seconds', 0.99)).toBe(1);
    expect(quantileOf([], 'wait_seconds', 0.5)).toBeUndefined();
    expect(quantileOf(parseMetrics('wait_seconds_bucket{le="+Inf"} 0'), 'wait_seconds', 0.5)).toBeUndefined();
  });
});

describe('a rate', () => {
  it('spans the last readings, as far back as its window', () => {
    const rate = createRate(10);
    expect(rate(100, 0)).toBeUndefined();
    expect(rate(150, 5)).toBe(10);
    expect(rate(150, 15)).toBe(0);
  });

  it('starts over when the counter did', () => {
    const rate = createRate(10);
    rate(100, 0);
    expect(rate(10, 2)).toBeUndefined();
    expect(rate(30, 4)).toBe(10);
  });
});
