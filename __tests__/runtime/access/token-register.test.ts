import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { TokenRegister } from '../../../runtime/src/access/token-register';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY, literalKeys, until } from '../support/test-service';

const folder = temporaryFolder();
const opened: TokenRegister[] = [];
let logged: string[];
beforeEach(() => (logged = []));
afterEach(() => opened.splice(0).forEach((register) => register.close()));

async function open(keys?: ApiKeys, encryption: 'AES-256-GCM' | 'AES-256-CBC' = 'AES-256-GCM') {
  const register = await TokenRegister.open({
    directory: folder(),
    encryption,
    keys: keys ?? (await literalKeys(API_KEY)),
    log: (level, text) => logged.push(`${level} ${text}`),
  });
  opened.push(register);
  return register;
}

const ORDER = { user: 'ada@example.org', scopes: ['chat'], expirySeconds: 60 } as const;
const file = () => join(folder(), 'tokens.sealed');
const claims = (id: string, user = 'ada@example.org', issuedAt = Math.floor(Date.now() / 1000)) => ({
  id,
  user,
  issuedAt,
});

/** Keys that change while the service runs, as they do with Secrets Manager. */
async function rotatingKeys(...first: readonly string[]) {
  let values: readonly string[] = first;
  const keys = await ApiKeys.open({
    source: async () => values,
    refreshIntervalMs: 3_600_000,
    unknownKeyIntervalMs: 0,
    onProblem: () => undefined,
  });
  const rotate = (...next: readonly string[]) => {
    values = next;
    return keys.refresh();
  };
  return { keys, rotate };
}

describe('the register of tokens', () => {
  test('lists what was issued, newest first, and stores no token', async () => {
    const register = await open();
    const first = await register.issue(ORDER);
    const second = await register.issue({ ...ORDER, user: 'bob', scopes: ['admin'], issuedBy: 'root' });
    const again = await open();
    expect(again.list()).toMatchObject([
      { id: second.id, user: 'bob', scopes: ['admin'], issuedBy: 'root' },
      { id: first.id, user: 'ada@example.org', scopes: ['chat'], expiresAt: first.issuedAt + 60 },
    ]);
    const sealed = readFileSync(file());
    // Long enough not to be in random bytes by chance.
    expect(sealed.includes(ORDER.user)).toBe(false);
    expect(JSON.stringify(again.list())).not.toContain(first.token);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder())).toEqual(['tokens.sealed']);
  });

  test('hears of a revocation by another process', async () => {
    const service = await open();
    service.follow();
    const { id } = await service.issue(ORDER);
    expect(service.verdict(claims(id))).toBe('valid');
    const command = await open();
    await command.revoke(id);
    await until(() => service.verdict(claims(id)) === 'revoked');
  });

  test('hears of the first token of all, when there was no file before', async () => {
    const service = await open();
    service.follow();
    await (await open()).revoke('of-a-token-from-elsewhere');
    await until(() => service.verdict(claims('of-a-token-from-elsewhere')) === 'revoked');
  });

  test('revokes all tokens of a user, also those it does not know, and none of those that come after', async () => {
    const register = await open();
    const before = await register.issue(ORDER);
    const other = await register.issue({ ...ORDER, user: 'bob' });
    expect(await register.revokeUser('ada@example.org')).toBe(1);
    const after = await register.issue(ORDER);
    expect(register.verdict(claims(before.id))).toBe('revoked');
    expect(register.verdict(claims('not-in-the-register'))).toBe('revoked');
    expect(register.verdict(claims(after.id))).toBe('valid');
    expect(register.verdict(claims(other.id, 'bob'))).toBe('valid');
  });

  test('loses nothing when many change it at once', async () => {
    const registers = await Promise.all([open(), open(), open()]);
    await Promise.all(registers.flatMap((one) => [one.issue(ORDER), one.issue(ORDER)]));
    expect((await open()).list()).toHaveLength(6);
  });

  test('is sealed anew when the API key is rotated, so that it can be read after the next rotation', async () => {
    const { keys, rotate } = await rotatingKeys('first-key-0123456789');
    const register = await open(keys);
    register.follow();
    const { id } = await register.issue(ORDER);
    await register.revoke(id);
    const before = readFileSync(file());
    await rotate('second-key-012345678', 'first-key-0123456789');
    await until(() => !readFileSync(file()).equals(before));
    await until(() => logged.some((line) => line.includes('sealed under the current API key')));
    await rotate('third-key-0123456789', 'second-key-012345678');
    await until(() => logged.length === 2);
    keys.close();
    const reader = await open(await literalKeys('third-key-0123456789'));
    expect(reader.verdict(claims(id))).toBe('revoked');
  });

  test('changes over to the other cipher', async () => {
    const { id } = await (await open()).issue(ORDER);
    const register = await open(undefined, 'AES-256-CBC');
    expect(register.list()).toMatchObject([{ id }]);
    expect(readFileSync(file())[8]).toBe(2);
  });

  test('refuses tokens while it is damaged, and goes on when it is restored', async () => {
    const register = await open();
    register.follow();
    const { id } = await register.issue(ORDER);
    const good = readFileSync(file());
    const bad = Buffer.from(good);
    bad[60]! ^= 1;
    writeFileSync(file(), bad);
    await until(() => register.verdict(claims(id)) === 'unavailable');
    expect(logged).toEqual([expect.stringMatching(/^SEC .*damaged or was tampered with/)]);
    await expect(register.revoke(id)).rejects.toThrow('damaged');
    writeFileSync(file(), good);
    await until(() => register.verdict(claims(id)) === 'valid');
  });

  test('begins anew where only a key that is gone could read it, and keeps the old file', async () => {
    await (await open()).issue(ORDER);
    const register = await open(await literalKeys('another-key-0123456789'));
    expect(register.list()).toEqual([]);
    expect(readdirSync(folder())).toEqual([expect.stringMatching(/^tokens\.sealed\.\d+$/)]);
    expect(logged).toEqual([expect.stringMatching(/^SEC .*no longer valid/)]);
  });

  test('in a running service, does not forget revocations because of a key it does not know', async () => {
    const service = await open();
    service.follow();
    const { id } = await service.issue(ORDER);
    await (await open(await literalKeys('another-key-0123456789'))).issue(ORDER);
    await until(() => service.verdict(claims(id)) === 'unavailable');
  });
});
