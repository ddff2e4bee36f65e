/**
 * Encryption at rest of what the service stores, under a key derived from the API key: whoever copies the disk but not
 * the secret reads nothing, and a change of any byte is noticed.
 *
 * Layout: magic, cipher (1 byte), key id (8), salt (16), IV, ciphertext, tag. The salt is new each time, and the key is
 * derived from it, so that no key ever meets an IV twice. What comes before the ciphertext is authenticated with it.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';

export type Encryption = 'AES-256-GCM' | 'AES-256-CBC';

export type Opened =
  /** `isStale`: sealed under an older key or another cipher than is used now; seal it again. */
  | { readonly ok: true; readonly content: Buffer; readonly isStale: boolean }
  /** `unknown_key`: none of the keys sealed it. `damaged`: one of them did, and it was changed since, or cut off. */
  | { readonly ok: false; readonly reason: 'unknown_key' | 'damaged' };

const MAGIC = Buffer.from('BOTSEAL1');
const KEY_ID_BYTES = 8;
const SALT_BYTES = 16;
const HEAD_BYTES = MAGIC.length + 1 + KEY_ID_BYTES + SALT_BYTES;

interface Cipher {
  readonly number: number;
  readonly ivBytes: number;
  readonly tagBytes: number;
  readonly keyBytes: number;
  /** Returns ciphertext and tag. */
  encrypt(key: Buffer, iv: Buffer, head: Buffer, content: Uint8Array): Buffer;
  /** @throws Error when the tag does not fit */
  decrypt(key: Buffer, iv: Buffer, head: Buffer, body: Buffer, tag: Buffer): Buffer;
}

const CIPHERS: Record<Encryption, Cipher> = {
  'AES-256-GCM': {
    number: 1,
    ivBytes: 12,
    tagBytes: 16,
    keyBytes: 32,
    encrypt(key, iv, head, content) {
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(head);
      return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
    },
    decrypt(key, iv, head, body, tag) {
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 }).setAAD(head);
      decipher.setAuthTag(tag);
      return Buffer.concat([decipher.update(body), decipher.final()]);
    },
  },
  // CBC alone can be tampered with unnoticed: encrypt, then authenticate, with a key of its own for each.
  'AES-256-CBC': {
    number: 2,
    ivBytes: 16,
    tagBytes: 32,
    keyBytes: 64,
    encrypt(key, iv, head, content) {
      const cipher = createCipheriv('aes-256-cbc', key.subarray(0, 32), iv);
      const body = Buffer.concat([cipher.update(content), cipher.final()]);
      return Buffer.concat([body, hmac(key.subarray(32), head, iv, body)]);
    },
    decrypt(key, iv, head, body, tag) {
      if (!timingSafeEqual(hmac(key.subarray(32), head, iv, body), tag)) throw new Error('wrong tag');
      const decipher = createDecipheriv('aes-256-cbc', key.subarray(0, 32), iv);
      return Buffer.concat([decipher.update(body), decipher.final()]);
    },
  },
};

/** `purpose` separates kinds of content: what was sealed for one cannot be passed off as another. */
export function seal(content: Uint8Array, apiKey: string, encryption: Encryption, purpose: string): Buffer {
  const cipher = CIPHERS[encryption];
  const salt = randomBytes(SALT_BYTES);
  const head = Buffer.concat([MAGIC, Buffer.from([cipher.number]), keyId(apiKey), salt]);
  const iv = randomBytes(cipher.ivBytes);
  const key = contentKey(apiKey, salt, purpose, cipher);
  return Buffer.concat([head, iv, cipher.encrypt(key, iv, head, content)]);
}

/** `apiKeys`: newest first, as in ApiKeys. `encryption`: what is used now; older content may use the other. */
export function unseal(
  sealed: Buffer,
  apiKeys: readonly string[],
  encryption: Encryption,
  purpose: string,
): Opened {
  const head = sealed.subarray(0, HEAD_BYTES);
  const cipher = Object.values(CIPHERS).find(({ number }) => number === head[MAGIC.length]);
  if (cipher === undefined || !head.subarray(0, MAGIC.length).equals(MAGIC)) return DAMAGED;
  const bodyAt = HEAD_BYTES + cipher.ivBytes;
  const tagAt = sealed.length - cipher.tagBytes;
  if (tagAt < bodyAt) return DAMAGED;

  const idAt = MAGIC.length + 1;
  const id = head.subarray(idAt, idAt + KEY_ID_BYTES);
  const index = apiKeys.findIndex((apiKey) => keyId(apiKey).equals(id));
  const apiKey = apiKeys[index];
  if (apiKey === undefined) return { ok: false, reason: 'unknown_key' };
  const salt = head.subarray(HEAD_BYTES - SALT_BYTES);
  try {
    const content = cipher.decrypt(
      contentKey(apiKey, salt, purpose, cipher),
      sealed.subarray(HEAD_BYTES, bodyAt),
      head,
      sealed.subarray(bodyAt, tagAt),
      sealed.subarray(tagAt),
    );
    return { ok: true, content, isStale: index > 0 || cipher !== CIPHERS[encryption] };
  } catch {
    return DAMAGED;
  }
}

const DAMAGED: Opened = { ok: false, reason: 'damaged' };

function contentKey(apiKey: string, salt: Uint8Array, purpose: string, cipher: Cipher): Buffer {
  const context = `botstack seal v1 ${cipher.number} ${purpose}`;
  return Buffer.from(hkdfSync('sha256', apiKey, salt, context, cipher.keyBytes));
}

/** Tells which key sealed something, and nothing about the key. */
function keyId(apiKey: string): Buffer {
  return Buffer.from(hkdfSync('sha256', apiKey, '', 'botstack seal key id v1', KEY_ID_BYTES));
}

function hmac(key: Buffer, ...parts: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}
