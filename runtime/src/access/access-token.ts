/**
 * Access tokens: JWTs (HS256) signed with a key that is derived from the API key, so that a token proves itself, and a
 * rotation of the API key ends, one rotation later, every token signed under it. The register (token-register.ts)
 * takes validity away earlier.
 */
import { hkdfSync, randomUUID } from 'node:crypto';

import { errors, jwtVerify, SignJWT } from 'jose';

import type { ApiKey } from './api-keys.js';
import { DEFAULT_SCOPES, type Scope } from './scopes.js';

const ISSUER = 'botstack';
const ALGORITHM = 'HS256';
/** Names what the derived key is for: the API key itself never signs. */
const KEY_CONTEXT = 'botstack jwt v1';

export interface AccessToken {
  readonly token: string;
  /** Names the token where the token itself must not stand: the claim `jti`. */
  readonly id: string;
  /** Unix time in seconds. */
  readonly issuedAt: number;
  readonly expiresAt: Date;
}

export interface TokenClaims {
  readonly user: string;
  readonly id: string;
  /** Unix time in seconds. */
  readonly issuedAt: number;
  readonly scopes: readonly string[];
}

export type TokenVerdict =
  | ({ readonly ok: true } & TokenClaims)
  /** `unknown_signature` may become valid when the keys are read again. */
  | { readonly ok: false; readonly reason: 'expired' | 'unknown_signature' | 'invalid_claims' };

/** Signs a token for `user` that ends after `expirySeconds`. */
export async function signAccessToken(
  apiKey: string,
  user: string,
  expirySeconds: number,
  scopes: readonly Scope[] = DEFAULT_SCOPES,
): Promise<AccessToken> {
  const issuedAt = Math.floor(Date.now() / 1000);
  const id = randomUUID();
  const expiresAt = issuedAt + expirySeconds;
  const token = await new SignJWT({ scope: scopes.join(' ') })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
    .setSubject(user)
    .setIssuer(ISSUER)
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .setJti(id)
    .sign(signingKey(apiKey));
  return { token, id, issuedAt, expiresAt: new Date(expiresAt * 1000) };
}

/** Checks signature, algorithm, issuer and time against each valid key. */
export async function verifyAccessToken(token: string, keys: readonly ApiKey[]): Promise<TokenVerdict> {
  for (const key of keys) {
    try {
      const { payload } = await jwtVerify(token, signingKey(key.value), {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        requiredClaims: ['sub', 'iat', 'exp', 'jti', 'scope'],
      });
      const { sub = '', jti = '', iat = 0, scope } = payload;
      if (typeof scope !== 'string') return { ok: false, reason: 'invalid_claims' };
      return { ok: true, user: sub, id: jti, issuedAt: iat, scopes: scope.split(' ') };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return { ok: false, reason: 'expired' };
      if (error instanceof errors.JWTClaimValidationFailed) return { ok: false, reason: 'invalid_claims' };
      // Any other error: this key did not sign it, or it is no token at all. Try the next key.
    }
  }
  return { ok: false, reason: 'unknown_signature' };
}

/** Three base64url parts: worth a signature check. */
export function looksLikeAccessToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);
}

function signingKey(apiKey: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', apiKey, '', KEY_CONTEXT, 32));
}
