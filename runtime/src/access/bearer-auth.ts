/** Who sent this request? Accepts `Authorization: Bearer` with an API key or an access token. */
import type { RequestHandler, Response } from 'express';

import { contextOf } from '../api/request-context.js';
import { ApiError } from '../errors/api-error.js';
import { looksLikeAccessToken, verifyAccessToken, type Scope } from './access-token.js';
import type { ApiKeys } from './api-keys.js';
import { FailedLogins } from './failed-logins.js';

export interface BearerAuthOptions {
  readonly keys: ApiKeys;
  /** What a token must be good for. API keys are good for everything. */
  readonly scope: Scope;
  /** Shared by all routes, so that an attacker gets one allowance and not one for each. */
  readonly failures: FailedLogins;
}

const REALM = 'Bearer realm="botstack"';

export function bearerAuth({ keys, scope, failures }: BearerAuthOptions): RequestHandler {
  return async function bearerAuthHandler(req, res, next) {
    const address = req.ip ?? 'unknown';
    const credential = bearerCredential(req.get('authorization'));
    if (credential === undefined) {
      throw new ApiError('missing_api_key', { headers: { 'WWW-Authenticate': REALM } });
    }
    const seconds = await failures.lockedFor(address);
    if (seconds > 0)
      throw new ApiError('too_many_failed_logins', { values: { seconds }, retryAfter: seconds });

    let verdict = await check(credential, keys);
    // The key may have been rotated since it was read last.
    if (verdict === 'unknown' && (await keys.refreshForUnknownKey())) verdict = await check(credential, keys);

    if (verdict === 'unknown') {
      await failures.record(address);
      throw unauthorized('invalid_api_key', 'the key or token is not valid');
    }
    // Well signed once: nobody is guessing, so it does not count as a failure.
    if (verdict === 'expired') throw unauthorized('token_expired', 'the token has expired');

    identify(res, verdict.user);
    if (verdict.scopes !== 'all' && !verdict.scopes.includes(scope)) {
      const challenge = `${REALM}, error="insufficient_scope", scope="${scope}"`;
      throw new ApiError('insufficient_scope', {
        values: { scope },
        headers: { 'WWW-Authenticate': challenge },
      });
    }
    next();
  };
}

interface Identity {
  readonly user: string;
  readonly scopes: readonly string[] | 'all';
}

async function check(credential: string, keys: ApiKeys): Promise<Identity | 'unknown' | 'expired'> {
  if (keys.has(credential)) return { user: 'api-key', scopes: 'all' };
  if (!looksLikeAccessToken(credential)) return 'unknown';
  const verdict = await verifyAccessToken(credential, keys.current());
  if (verdict.ok) return { user: verdict.user, scopes: verdict.scopes };
  return verdict.reason === 'expired' ? 'expired' : 'unknown';
}

function identify(res: Response, user: string): void {
  contextOf(res).user = user;
}

/** The scheme's name is case-insensitive (RFC 9110); the rest is one token of RFC 6750's characters. */
function bearerCredential(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1];
}

function unauthorized(code: 'invalid_api_key' | 'token_expired', description: string): ApiError {
  const challenge = `${REALM}, error="invalid_token", error_description="${description}"`;
  return new ApiError(code, { headers: { 'WWW-Authenticate': challenge } });
}
