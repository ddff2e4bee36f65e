/** Two machines, one copy of the register of tokens: the real register and signed requests, and an emulator for the bucket. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { REGISTER_FILE } from '../../../runtime/src/access/register-file';
import { TokenRegister } from '../../../runtime/src/access/token-register';
import { API_KEY, literalKeys, until } from '../support/test-service';
import { describeWithEmulator, unreachable, useMachines } from './support/machines';

const DAY_SECONDS = 86_400;

describeWithEmulator("the copy of a machine's register", () => {
  const world = useMachines();
  const { kept, machine, notes, object, put } = world;

  interface Setting {
    readonly keys?: ApiKeys;
    readonly env?: Record<string, string | undefined>;
    readonly exchangeIntervalMs?: number;
  }

  async function registerOf(name: string, { keys, env, ...more }: Setting = {}) {
    const register = await TokenRegister.open({
      directory: machine(name),
      encryption: 'AES-256-GCM',
      keys: keys ?? (await literalKeys(API_KEY)),
      copy: object(REGISTER_FILE, env),
      log: world.log,
      ...more,
    });
    return world.open(register);
  }

  const ORDER = { user: 'ada@example.org', scopes: ['chat'], expirySeconds: 60 } as const;
  const claims = (id: string, user = 'ada@example.org') => ({
    id,
    user,
    issuedAt: Math.floor(Date.now() / 1000),
  });

  test('has a token that was revoked before the machine was replaced stay revoked', async () => {
    const before = await registerOf('before');
    const revoked = await before.issue(ORDER);
    const valid = await before.issue({ ...ORDER, user: 'bob' });
    await before.revoke(revoked.id);
    const eves = claims('of-a-token-from-elsewhere', 'eve');
    await before.revokeUser('eve');
    // The disk goes with the machine.
    rmSync(machine('before'), { recursive: true });

    const after = await registerOf('after');
    expect(after.verdict(claims(revoked.id))).toBe('revoked');
    expect(after.verdict(eves)).toBe('revoked');
    expect(after.verdict(claims(valid.id, 'bob'))).toBe('valid');
    expect(after.list()).toHaveLength(2);
    // Long enough not to be in random bytes by chance.
    expect((await kept(REGISTER_FILE)).includes(ORDER.user)).toBe(false);
    expect(world.logged).toEqual([]);
  });

  test('brings what is revoked on one machine to the other while both run', async () => {
    const old = await registerOf('old');
    const next = await registerOf('next', { exchangeIntervalMs: 50 });
    next.follow();
    const { id } = await old.issue(ORDER);
    await old.revoke(id);
    await until(() => next.verdict(claims(id)) === 'revoked');
  });

  test('loses nothing when machines change it at the same moment', async () => {
    const registers = await Promise.all(['a', 'b', 'c'].map((name) => registerOf(name)));
    const tokens = await Promise.all(registers.map((one) => one.issue(ORDER)));
    await Promise.all(registers.map((one, at) => one.revoke(tokens[(at + 1) % 3]!.id)));
    const after = await registerOf('after');
    expect(tokens.map(({ id }) => after.verdict(claims(id)))).toEqual(Array(3).fill('revoked'));
    expect(after.list().map(({ user }) => user)).toEqual(Array(3).fill('ada@example.org'));
  });

  test('gives the revocations since to a disk that comes from an older snapshot', async () => {
    const service = await registerOf('disk');
    const { id } = await service.issue(ORDER);
    const snapshot = readFileSync(join(machine('disk'), REGISTER_FILE));
    await service.revoke(id);
    writeFileSync(join(machine('restored'), REGISTER_FILE), snapshot);
    expect((await registerOf('restored')).verdict(claims(id))).toBe('revoked');
  });

  test('is needed by a machine that knows nothing yet, and by no other', async () => {
    await expect(registerOf('new', { env: unreachable() })).rejects.toThrow(
      /^cannot read s3:\/\/bot-artifacts\/state-\w+\/tokens\.sealed: connect ECONNREFUSED .* What to do: check the route/,
    );
    world.logged = [];
    await (await registerOf('old')).issue(ORDER);
    const cutOff = await registerOf('old', { env: unreachable() });
    const { id } = await cutOff.issue(ORDER);
    await cutOff.revoke(id);
    expect(cutOff.verdict(claims(id))).toBe('revoked');
    expect(world.logged).toEqual([expect.stringMatching(/^WRN cannot read .*tries again every 30 s$/)]);

    // The route is back.
    await registerOf('old');
    expect((await registerOf('other')).verdict(claims(id))).toBe('revoked');
  });

  test('is sealed anew when the API key is rotated', async () => {
    let values = ['first-key-0123456789'];
    const keys = await ApiKeys.open({
      source: async () => values,
      refreshIntervalMs: 3_600_000,
      onProblem: () => undefined,
    });
    world.open(keys);
    const service = await registerOf('one', { keys });
    service.follow();
    const { id } = await service.issue(ORDER);
    await service.revoke(id);
    const before = await kept(REGISTER_FILE);
    values = ['second-key-012345678', 'first-key-0123456789'];
    await keys.refresh();
    const deadline = Date.now() + 40_000;
    while ((await kept(REGISTER_FILE)).equals(before) && Date.now() < deadline);
    const after = await registerOf('two', { keys: await literalKeys('second-key-012345678') });
    expect(after.verdict(claims(id))).toBe('revoked');
  });

  test('is written anew where it is damaged, and stops a machine that has nothing else', async () => {
    const service = await registerOf('one');
    const { id } = await service.issue(ORDER);
    await service.revoke(id);
    const bad = await kept(REGISTER_FILE);
    bad[60]! ^= 1;
    await put(REGISTER_FILE, bad);
    await expect(registerOf('two')).rejects.toThrow(/damaged or was tampered with.*list-object-versions/);
    world.logged = [];
    await registerOf('one');
    expect(world.logged).toEqual([
      expect.stringMatching(/^SEC .*written anew from this machine's register$/),
    ]);
    expect((await registerOf('two')).verdict(claims(id))).toBe('revoked');
  });

  test('says beside the sealed register when tokens end that were made to last', async () => {
    const register = await registerOf('one');
    const long = await register.issue({ ...ORDER, expirySeconds: 30 * DAY_SECONDS });
    await register.issue({ ...ORDER, expirySeconds: 30 * DAY_SECONDS });
    await register.issue({ ...ORDER, expirySeconds: DAY_SECONDS });
    const gone = await register.issue({ ...ORDER, expirySeconds: 20 * DAY_SECONDS });
    await register.revoke(gone.id);
    expect(await notes(REGISTER_FILE)).toEqual({ 'token-ends': long.expiresAt.toISOString().slice(0, 10) });
  });

  test('names an object that is not there, and what to do', async () => {
    world.prefix = 'nowhere';
    await expect(registerOf('one')).rejects.toThrow(
      'cannot read s3://bot-artifacts/nowhere/tokens.sealed: NoSuchKey. What to do: it was deleted: run cdktf deploy',
    );
  });
});
