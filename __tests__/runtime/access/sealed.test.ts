import { createDecipheriv, createHmac, hkdfSync } from 'node:crypto';

import { seal, unseal, type Encryption } from '../../../runtime/src/access/sealed';

const CURRENT = 'current-key-0123456789';
const PREVIOUS = 'previous-key-012345678';
const CONTENT = Buffer.from('who may do what');

describe.each<Encryption>(['AES-256-GCM', 'AES-256-CBC'])('sealed with %s', (encryption) => {
  const sealed = seal(CONTENT, CURRENT, encryption, 'test');

  test('opens under the key that sealed it, and shows nothing of the content', () => {
    expect(unseal(sealed, [CURRENT], encryption, 'test')).toEqual({
      ok: true,
      content: CONTENT,
      isStale: false,
    });
    expect(sealed.includes(CONTENT.subarray(0, 6))).toBe(false);
  });

  test('is never the same twice', () => {
    expect(seal(CONTENT, CURRENT, encryption, 'test')).not.toEqual(sealed);
  });

  test('opens under the previous key, and says that it should be sealed anew', () => {
    const old = seal(CONTENT, PREVIOUS, encryption, 'test');
    expect(unseal(old, [CURRENT, PREVIOUS], encryption, 'test')).toMatchObject({ ok: true, isStale: true });
  });

  test('tells a key that is unknown from damage', () => {
    expect(unseal(sealed, [PREVIOUS], encryption, 'test')).toEqual({ ok: false, reason: 'unknown_key' });
    expect(unseal(sealed.subarray(0, -1), [CURRENT], encryption, 'test')).toEqual({
      ok: false,
      reason: 'damaged',
    });
    expect(unseal(Buffer.from('x'), [CURRENT], encryption, 'test')).toEqual({ ok: false, reason: 'damaged' });
  });

  test('notices a change of any byte', () => {
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      expect(unseal(changed, [CURRENT], encryption, 'test').ok).toBe(false);
    }
  });

  test('cannot be passed off as something else', () => {
    expect(unseal(sealed, [CURRENT], encryption, 'other')).toEqual({ ok: false, reason: 'damaged' });
  });
});

test('content that was sealed with the other cipher opens, and should be sealed anew', () => {
  const sealed = seal(CONTENT, CURRENT, 'AES-256-CBC', 'test');
  expect(unseal(sealed, [CURRENT], 'AES-256-GCM', 'test')).toMatchObject({ ok: true, isStale: true });
});

// The layout as documented, read without the code under test.
test('is what its documentation says: HKDF-SHA256, AES-256-GCM with the head authenticated', () => {
  const sealed = seal(CONTENT, CURRENT, 'AES-256-GCM', 'test');
  const [head, salt, iv] = [sealed.subarray(0, 33), sealed.subarray(17, 33), sealed.subarray(33, 45)];
  const key = Buffer.from(hkdfSync('sha256', CURRENT, salt, 'botstack seal v1 1 test', 32));
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(head).setAuthTag(sealed.subarray(-16));
  expect(decipher.update(sealed.subarray(45, -16))).toEqual(CONTENT);
  decipher.final();
});

test('is what its documentation says: AES-256-CBC, then HMAC-SHA256 over all that comes before', () => {
  const sealed = seal(CONTENT, CURRENT, 'AES-256-CBC', 'test');
  const keys = Buffer.from(
    hkdfSync('sha256', CURRENT, sealed.subarray(17, 33), 'botstack seal v1 2 test', 64),
  );
  const tag = createHmac('sha256', keys.subarray(32)).update(sealed.subarray(0, -32)).digest();
  expect(tag).toEqual(sealed.subarray(-32));
  const decipher = createDecipheriv('aes-256-cbc', keys.subarray(0, 32), sealed.subarray(33, 49));
  expect(Buffer.concat([decipher.update(sealed.subarray(49, -32)), decipher.final()])).toEqual(CONTENT);
});
