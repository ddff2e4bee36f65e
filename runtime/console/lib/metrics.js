// @ts-check

/**
 * @typedef {object} Sample one line of the Prometheus text format
 * @property {string} name
 * @property {Record<string, string>} labels
 * @property {number} value
 */

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/**
 * @param {string} text what /metrics answers
 * @returns {Sample[]}
 */
export function parseMetrics(text) {
  const samples = [];
  for (const row of text.split('\n')) {
    const match = row.startsWith('#') ? null : line.exec(row.trim());
    if (!match) continue;
    const [, name = '', labels = '', value = ''] = match;
    samples.push({ name, labels: parseLabels(labels), value: parseValue(value) });
  }
  return samples;
}

/** @param {string} text */
function parseLabels(text) {
  /** @type {Record<string, string>} */
  const labels = {};
  for (const [, name = '', value = ''] of text.matchAll(label)) {
    labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
  }
  return labels;
}

/** @param {string} text */
function parseValue(text) {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}

/**
 * The total of a metric over its labels.
 *
 * @param {readonly Sample[]} samples
 * @param {string} name
 * @param {(labels: Record<string, string>) => boolean} [where]
 * @returns {number | undefined} undefined where no such sample exists
 */
export function sumOf(samples, name, where = () => true) {
  const found = samples.filter((sample) => sample.name === name && where(sample.labels));
  return found.length === 0 ? undefined : found.reduce((sum, sample) => sum + sample.value, 0);
}

/**
 * A quantile of a histogram, read the way PromQL's histogram_quantile does: linear within the bucket.
 *
 * @param {readonly Sample[]} samples
 * @param {string} name without `_bucket`
 * @param {number} q 0 to 1
 * @returns {number | undefined} undefined while nothing was observed
 */
export function quantileOf(samples, name, q) {
  /** @type {Map<number, number>} */
  const buckets = new Map();
  for (const { name: n, labels, value } of samples) {
    if (n !== `${name}_bucket`) continue;
    const bound = parseValue(labels.le ?? '');
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  const bounds = [...buckets].sort(([a], [b]) => a - b);
  const total = bounds.at(-1)?.[1] ?? 0;
  if (total === 0) return undefined;

  let low = 0;
  let below = 0;
  for (const [bound, count] of bounds) {
    if (count >= q * total && count > below) {
      return bound === Infinity ? low : low + ((bound - low) * (q * total - below)) / (count - below);
    }
    low = bound;
    below = count;
  }
  return low;
}

/**
 * Turns readings of a counter into a rate over the last few seconds.
 *
 * @param {number} windowSeconds
 * @returns {(value: number, atSeconds: number) => number | undefined} undefined at the first reading; a counter that
 *   went backwards (the service restarted) starts over
 */
export function createRate(windowSeconds) {
  /** @type {{ value: number, at: number }[]} */
  let readings = [];
  return (value, at) => {
    if (value < (readings.at(-1)?.value ?? 0)) readings = [];
    readings.push({ value, at });
    while (readings.length > 2 && at - (readings[1]?.at ?? at) >= windowSeconds) readings.shift();
    const first = readings[0];
    return first === undefined || at <= first.at ? undefined : (value - first.value) / (at - first.at);
  };
}
