import { createHmac, hkdfSync } from 'node:crypto';

import {
  looksLikeAccessToken,
  signAccessToken,
  verifyAccessToken,
} from '../../../runtime/src/access/access-token';
import type { ApiKey } from '../../../runtime/src/access/api-keys';

const CURRENT = 'current-key-0123456789';
const PREVIOUS = 'previous-key-012345678';
const keys = (...values: readonly string[]): readonly ApiKey[] =>
  values.map((value) => ({ value, digest: Buffer.alloc(0) }));

const encode = (part: object | string) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** A token made by hand, so that the signer under test is not its own judge. */
function forge(header: object, payload: object, key: string | Uint8Array): string {
  const body = `${encode(header)}.${encode(payload)}`;
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

const derived = (apiKey: string) => new Uint8Array(hkdfSync('sha256', apiKey, '', 'botstack jwt v1', 32));
const now = Math.floor(Date.now() / 1000);
const CLAIMS = { sub: 'ada', iss: 'botstack', iat: now, exp: now + 60, jti: '1', scope: 'chat' };

describe('access tokens', () => {
  test('carry user, scope and expiry', async () => {
    const before = Math.floor(Date.now() / 1000);
    const { token, id, issuedAt, expiresAt } = await signAccessToken(CURRENT, 'ada', 86400);
    expect(looksLikeAccessToken(token)).toBe(true);
    expect(await verifyAccessToken(token, keys(CURRENT))).toEqual({
      ok: true,
      user: 'ada',
      id,
      issuedAt,
      scopes: ['chat'],
    });
    expect(expiresAt.getTime() / 1000).toBe(issuedAt + 86_400);
    expect(issuedAt).toBeGreaterThanOrEqual(before);
    expect(issuedAt).toBeLessThanOrEqual(Math.floor(Date.now() / 1000));
    const [header = '', payload = ''] = token.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      iss: 'botstack',
      sub: 'ada',
    });
  });

  test('stay valid while the key that signed them is the previous one', async () => {
    const { token } = await signAccessToken(PREVIOUS, 'ada', 60);
    expect(await verifyAccessToken(token, keys(CURRENT, PREVIOUS))).toMatchObject({ ok: true });
    expect(await verifyAccessToken(token, keys(CURRENT))).toEqual({ ok: false, reason: 'unknown_signature' });
  });

  test('made elsewhere by the documented derivation are accepted', async () => {
    const token = forge({ alg: 'HS256', typ: 'JWT' }, CLAIMS, derived(CURRENT));
    expect(await verifyAccessToken(token, keys(CURRENT))).toMatchObject({ ok: true, user: 'ada' });
  });

  test.each([
    ['signed with the API key itself', forge({ alg: 'HS256' }, CLAIMS, CURRENT), 'unknown_signature'],
    ['not signed at all', `${encode({ alg: 'none' })}.${encode(CLAIMS)}.x`, 'unknown_signature'],
    ['of another algorithm', forge({ alg: 'HS512' }, CLAIMS, derived(CURRENT)), 'unknown_signature'],
    ['expired', forge({ alg: 'HS256' }, { ...CLAIMS, exp: now - 1 }, derived(CURRENT)), 'expired'],
    [
      'without an end',
      forge({ alg: 'HS256' }, { ...CLAIMS, exp: undefined }, derived(CURRENT)),
      'invalid_claims',
    ],
    [
      'of another issuer',
      forge({ alg: 'HS256' }, { ...CLAIMS, iss: 'x' }, derived(CURRENT)),
      'invalid_claims',
    ],
    [
      'without a scope',
      forge({ alg: 'HS256' }, { ...CLAIMS, scope: undefined }, derived(CURRENT)),
      'invalid_claims',
    ],
    [
      'with a scope that is no text',
      forge({ alg: 'HS256' }, { ...CLAIMS, scope: 1 }, derived(CURRENT)),
      'invalid_claims',
    ],
    ['that are no JSON', `${encode('x')}.${encode('y')}.z`, 'unknown_signature'],
  ])('%s are refused', async (_what, token, reason) => {
    expect(await verifyAccessToken(token, keys(CURRENT))).toEqual({ ok: false, reason });
  });
});
