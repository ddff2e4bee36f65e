/** Who sent this request, and may they? Accepts `Authorization: Bearer` with an API key or an access token. */
import type { RequestHandler } from 'express';

import { contextOf } from '../api/request-context.js';
import { ApiError } from '../errors/api-error.js';
import type { ErrorCode } from '../errors/catalog.js';
import { looksLikeAccessToken, verifyAccessToken } from './access-token.js';
import type { ApiKeys } from './api-keys.js';
import { FailedLogins } from './failed-logins.js';
import type { Identity } from './identity.js';
import { allows, type Scope } from './scopes.js';
import type { TokenRegister } from './token-register.js';

export interface BearerAuthOptions {
  readonly keys: ApiKeys;
  /** Knows the tokens that were revoked. Without it none is. */
  readonly register?: TokenRegister | undefined;
  /** Shared by all routes, so that an attacker gets one allowance and not one for each. */
  readonly failures: FailedLogins;
}

/** Makes the guard of one route: lets those pass who have one of the scopes. */
export type Authenticate = (...scopes: readonly [Scope, ...Scope[]]) => RequestHandler;

const REALM = 'Bearer realm="botstack"';

/** Nobody finds a key of this length by trying: 128 bits and more, written in hexadecimal. */
const UNGUESSABLE_LENGTH = 32;

export function bearerAuth({ keys, register, failures }: BearerAuthOptions): Authenticate {
  return (...scopes) =>
    async function bearerAuthHandler(req, res, next) {
      const address = req.ip ?? 'unknown';
      const credential = bearerCredential(req.get('authorization'));
      if (credential === undefined) {
        throw new ApiError('missing_api_key', { headers: { 'WWW-Authenticate': REALM } });
      }
      const lockSeconds = await failures.lockedFor(address);
      if (lockSeconds > 0 && isGuessable(credential)) throw lockedOut(lockSeconds);

      let verdict = await check(credential, keys, register);
      // The key may have been rotated since it was read last. Also asked for an address that is locked out: who came
      // with the new key too early is one of those.
      if (verdict === 'unknown' && (await keys.refreshForUnknownKey())) {
        verdict = await check(credential, keys, register);
      }

      if (verdict === 'unknown' && lockSeconds > 0) throw lockedOut(lockSeconds);
      if (verdict === 'unknown') {
        await failures.record(address);
        throw unauthorized('invalid_api_key', 'the key or token is not valid');
      }
      // Well signed once: nobody is guessing, so these do not count as failures.
      if (verdict === 'expired') throw unauthorized('token_expired', 'the token has expired');
      if (verdict === 'revoked') throw unauthorized('token_revoked', 'the token was revoked');
      if (verdict === 'unavailable') throw new ApiError('token_register_unavailable', { retryAfter: 30 });

      Object.assign(contextOf(res), { user: verdict.user, identity: verdict });
      if (!allows(verdict.scopes, scopes)) {
        throw new ApiError('insufficient_scope', {
          values: { scope: scopes.join('` or `') },
          headers: {
            'WWW-Authenticate': `${REALM}, error="insufficient_scope", scope="${scopes.join(' ')}"`,
          },
        });
      }
      next();
    };
}

type Verdict = Identity | 'unknown' | 'expired' | 'revoked' | 'unavailable';

async function check(credential: string, keys: ApiKeys, register?: TokenRegister): Promise<Verdict> {
  if (keys.has(credential)) return { user: 'api-key', scopes: 'all' };
  if (!looksLikeAccessToken(credential)) return 'unknown';
  const verdict = await verifyAccessToken(credential, keys.current());
  if (!verdict.ok) return verdict.reason === 'expired' ? 'expired' : 'unknown';
  const state = register?.verdict(verdict) ?? 'valid';
  return state === 'valid' ? { user: verdict.user, tokenId: verdict.id, scopes: verdict.scopes } : state;
}

/**
 * A lockout slows down guessing. It must not keep out those who share the guesser's address (a company's NAT) and hold
 * something that guessing cannot find: a token's signature has 256 bits, and so has a generated key. A short key that
 * somebody made up stays locked out, or trying would go on behind the lock.
 */
function isGuessable(credential: string): boolean {
  return credential.length < UNGUESSABLE_LENGTH;
}

/** The scheme's name is case-insensitive (RFC 9110); the rest is one token of RFC 6750's characters. */
function bearerCredential(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +([\w.~+/=-]+) *$/i.exec(header)?.[1];
}

function lockedOut(seconds: number): ApiError {
  return new ApiError('too_many_failed_logins', { values: { seconds }, retryAfter: seconds });
}

function unauthorized(code: ErrorCode, description: string): ApiError {
  const challenge = `${REALM}, error="invalid_token", error_description="${description}"`;
  return new ApiError(code, { headers: { 'WWW-Authenticate': challenge } });
}
