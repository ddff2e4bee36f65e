import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ApiError } from '../../../runtime/src/errors/api-error';
import { API_ERRORS, type ErrorCode } from '../../../runtime/src/errors/catalog';
import { renderErrorsPage } from '../../../runtime/src/errors/docs';
import { nearest } from '../../../runtime/src/errors/nearest';
import { processorMs } from '../../support/processor-time';

const PAGE = join(__dirname, '../../../docs/errors.md');

describe('the table of errors', () => {
  test('is what docs/errors.md says; UPDATE_DOCS=1 writes the page anew', () => {
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(PAGE, renderErrorsPage());
    expect(readFileSync(PAGE, 'utf8')).toBe(renderErrorsPage());
  });

  test.each(Object.keys(API_ERRORS) as ErrorCode[])(
    '%s has OpenAI’s shape and status and type that go together',
    (code) => {
      const { status, type } = API_ERRORS[code];
      const expected: Record<number, string> = {
        401: 'authentication_error',
        403: 'permission_error',
        429: 'rate_limit_error',
      };
      expect(type).toBe(expected[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error'));
      const { error } = new ApiError(code).toBody();
      expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
    },
  );

  test('fills values into the message and Retry-After into the headers', () => {
    const error = new ApiError('engine_unavailable', {
      values: { state: 'loading', seconds: 3 },
      retryAfter: 3,
    });
    expect(error.message).toBe('The model is not ready (loading); try again in 3 seconds');
    expect(error.headers).toEqual({ 'Retry-After': '3' });
  });

  test.each([
    [
      'too_many_failed_logins',
      { seconds: 1 },
      'Too many wrong keys from this address; try again in 1 second',
    ],
    [
      'server_busy',
      { sequences: 1, waiting: 0, seconds: 2 },
      'No place is free: 1 sequence at work, 0 requests waiting; try again in 2 seconds',
    ],
    [
      'too_many_sessions',
      { limit: 1, whose: 'in all', seconds: 1 },
      '1 request under way in all, as many as are allowed; try again in 1 second',
    ],
    ['queue_timeout', { seconds: 1 }, 'The request waited 1 second for a free sequence; try again later'],
    [
      'request_timeout',
      { seconds: 1 },
      'Nothing was written within the 1 second that a request may take; ask for less',
    ],
  ] as const)('counts as one says it: %s', (code, values, message) => {
    expect(new ApiError(code, { values }).message).toBe(message);
  });
});

test.each([
  ['temprature', 'temperature'],
  ['api_kye', 'api_key'],
  ['MAX_TOKENS', 'max_tokens'],
  ['weather', undefined],
])('for %s, the nearest known name is %s', (name, guess) => {
  expect(nearest(name, ['temperature', 'api_key', 'max_tokens', 'model_path'])).toBe(guess);
});

test('a name of a megabyte is near to none, and found so at once', async () => {
  const known = Array.from({ length: 40 }, (_, n) => `known_parameter_${n}`);
  const name = 'a'.repeat(2 ** 20);
  // Compared letter by letter it takes seconds.
  expect(await processorMs(() => expect(nearest(name, known)).toBeUndefined())).toBeLessThan(500);
});
