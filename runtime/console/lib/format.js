// @ts-check

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** What stands where nothing is known yet. */
export const unknown = '–';

/** @param {number | undefined} n */
export const count = (n) => (n === undefined ? unknown : whole.format(n));

/**
 * Three digits at most: 9.87, 42.1, 1,204.
 *
 * @param {number | undefined} n
 */
export function rate(n) {
  if (n === undefined || !Number.isFinite(n)) return unknown;
  if (n === 0) return '0';
  return n >= 100 ? whole.format(n) : n.toFixed(n >= 10 ? 1 : 2);
}

/**
 * @param {number | undefined} seconds
 * @returns {string} 320 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 4 d 3 h
 */
export function duration(seconds) {
  if (seconds === undefined || !Number.isFinite(seconds)) return unknown;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${(hours ?? 0) % 24} h`;
  if (hours) return `${hours} h ${(minutes ?? 0) % 60} min`;
  return `${minutes} min ${Math.floor(seconds % 60)} s`;
}
