import { counted } from '../errors/counted.js';
import type { Policy } from './schema.js';

/** What a policy allows, for people who read the log: its limits, and how many rules and words, of which none is told. */
export function inWords({ sessions, users, words }: Policy): string {
  const { overall, per_token: perToken, longest_request_seconds: seconds } = sessions;
  const limits = [
    overall === undefined ? [] : `${counted(overall, 'request')} at once in all`,
    perToken === undefined ? [] : `${counted(perToken, 'request')} at once with one token`,
    seconds === undefined ? [] : `${counted(seconds, 'second')} a request`,
  ].flat();
  const excepted = Object.keys(users).length;
  const some = limits.length === 0 ? "no limits but the configuration's" : `at most ${limits.join(', ')}`;
  const exceptions = excepted === 0 ? '' : `, except for ${counted(excepted, 'user')}`;
  const count = words.reduce((sum, rule) => sum + rule.words.length, 0);
  const rules =
    words.length === 0
      ? 'no word rules'
      : `${counted(words.length, 'word rule')} with ${counted(count, 'word')}`;
  return `${some}${exceptions}${limits.length + excepted === 0 ? ',' : ';'} ${rules}`;
}
