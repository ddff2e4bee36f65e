import { createLogger, formatLine } from '../../../runtime/src/log/logger';
import { createLogRing } from '../../../runtime/src/log/sinks';

const TIME = new Date('2026-11-22T08:09:10.999Z');
/** The pattern of guide B, by which log agents take lines apart. */
const GUIDE_PATTERN = /^\[(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})\] \[(\w+)\] (.*)$/;

describe('formatLine', () => {
  test('writes UTC time, level and text', () => {
    const line = formatLine('INF', 'ready', TIME);
    expect(line).toBe('[2026-11-22 08:09:10] [INF] ready');
    expect(GUIDE_PATTERN.exec(line)?.slice(1)).toEqual(['2026-11-22 08:09:10', 'INF', 'ready']);
  });

  test('lets no value forge a line or drive a terminal', () => {
    const line = formatLine('WRN', 'a\n[2026-01-01 00:00:00] [INF] forged\r\t\u001b[31m\u2028\u0085', TIME);
    expect(line).toBe(
      '[2026-11-22 08:09:10] [WRN] a\\n[2026-01-01 00:00:00] [INF] forged\\r\\t\\u001b[31m\\u2028\\u0085',
    );
  });
});

describe('createLogger', () => {
  test('writes the threshold’s level and those above, and SEC always', () => {
    const ring = createLogRing();
    const log = createLogger([ring], 'error', () => TIME);
    for (const level of ['INF', 'WRN', 'ERR', 'SEC'] as const) log.log(level, 'x');
    expect(ring.lines().map((line) => line.slice(23, 26))).toEqual(['ERR', 'SEC']);
  });
});
