/**
 * One line per event: `[YYYY-MM-DD HH:MM:SS] [LVL] text`, in UTC, so that agents and metric filters need one
 * regular expression. Prompts, answers and credentials never go into a line: callers log counts and ids.
 */

/** INF: normal; WRN: degraded, still working; ERR: a request or the service failed; SEC: of interest to security. */
export const LOG_LEVELS = ['INF', 'WRN', 'ERR', 'SEC'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where lines go. `line` comes without a line break. */
export interface LogSink {
  write(line: string): void;
}

export interface Logger {
  log(level: LogLevel, text: string): void;
}

export type LogThreshold = 'info' | 'warn' | 'error';

const RANK: Record<LogLevel, number> = { INF: 0, WRN: 1, ERR: 2, SEC: 3 };
const THRESHOLD_RANK: Record<LogThreshold, number> = { info: 0, warn: 1, error: 2 };

/** A logger that writes each line of `threshold` and above to every sink. SEC lines are always written. */
export function createLogger(
  sinks: readonly LogSink[],
  threshold: LogThreshold = 'info',
  now: () => Date = () => new Date(),
): Logger {
  return {
    log(level, text) {
      if (RANK[level] < THRESHOLD_RANK[threshold]) return;
      const line = formatLine(level, text, now());
      for (const sink of sinks) sink.write(line);
    },
  };
}

export function formatLine(level: LogLevel, text: string, time: Date): string {
  const stamp = time.toISOString().slice(0, 19).replace('T', ' ');
  return `[${stamp}] [${level}] ${escapeControls(text)}`;
}

/** A line break or an escape sequence in a value (a header, a file's name) must not forge a line or drive a terminal. */
function escapeControls(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    if (character === '\t') return '\\t';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
