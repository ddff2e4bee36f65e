/** Lines of the service's log that the person who runs it should see, in words and in the time of the place. */
import { localTime } from './local-time.js';

/** See the log's format in log/logger.ts. What is of interest to security is seldom, and nobody else reads this log. */
const WORDS: Readonly<Record<string, string>> = { WRN: 'warning', ERR: 'error', SEC: 'security' };
const LINE = /^\[(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)\] \[(WRN|ERR|SEC)\] (.*)$/;

/** Undefined where nobody has to see it. */
export function noteworthy(line: string): string | undefined {
  const [, day, time, level = '', text = ''] = LINE.exec(line) ?? [];
  const word = WORDS[level];
  if (word === undefined) return undefined;
  return `${localTime(new Date(`${day}T${time}Z`))}  ${word.padEnd(8)}  ${text}`;
}
