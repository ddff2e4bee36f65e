/** Two machines, one copy of what matters: the real register, policy and signed requests, and an emulator for the bucket. */
import {
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { REGISTER_FILE, TokenRegister } from '../../../runtime/src/access/token-register';
import { formerPolicyCounts, restoredPolicyCounts } from '../../../runtime/src/operations/restored-policy';
import { COMMON_FILE } from '../../../runtime/src/policy/last-common';
import { POLICY_FILE, PolicyStore } from '../../../runtime/src/policy/store';
import { S3Object } from '../../../runtime/src/state-copy/s3-object';
import { type Emulator, hasEmulator, startEmulator } from '../../functions/emulator';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY, literalKeys, until } from '../support/test-service';

const BUCKET = 'bot-artifacts';
const DAY_SECONDS = 86_400;

(hasEmulator ? describe : describe.skip)(
  `the copy of a machine's state${hasEmulator ? '' : ' (skipped: no moto_server; pip install "moto[server]")'}`,
  () => {
    const folder = temporaryFolder();
    const open: { close(): void }[] = [];
    let emulator: Emulator;
    let s3: S3Client;
    let prefix = '';
    let logged: string[];

    beforeAll(async () => {
      emulator = await startEmulator();
      s3 = new S3Client({ forcePathStyle: true });
      await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
    }, 180_000);
    afterAll(async () => {
      s3.destroy();
      await emulator.stop();
    });

    beforeEach(async () => {
      logged = [];
      prefix = `state-${Math.random().toString(36).slice(2)}`;
      // As the deploy makes them.
      for (const file of [REGISTER_FILE, POLICY_FILE]) await put(file, Buffer.alloc(0));
    });
    afterEach(() => open.splice(0).forEach((each) => each.close()));

    const put = (file: string, Body: string | Buffer) =>
      s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${file}`, Body }));
    const kept = async (file: string) => {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${file}` }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    };
    const object = (file: string, env: Record<string, string | undefined> = process.env) =>
      new S3Object({ bucket: BUCKET, key: `${prefix}/${file}`, region: 'us-east-1' }, env);
    /** The disk of a machine. */
    const machine = (name: string) => {
      const path = join(folder(), name);
      mkdirSync(path, { recursive: true });
      return path;
    };
    const log = (level: string, text: string) => logged.push(`${level} ${text}`);

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
        log,
        ...more,
      });
      open.push(register);
      return register;
    }

    async function policyOf(name: string, { env, ...more }: Setting = {}) {
      const store = await PolicyStore.open({
        directory: machine(name),
        maxRequestSeconds: 300,
        copy: object(POLICY_FILE, env),
        log,
        ...more,
      });
      open.push(store);
      return store;
    }

    const ORDER = { user: 'ada@example.org', scopes: ['chat'], expirySeconds: 60 } as const;
    const UNREACHABLE = { ...process.env, AWS_ENDPOINT_URL: 'http://127.0.0.2:50001' };
    const claims = (id: string, user = 'ada@example.org') => ({
      id,
      user,
      issuedAt: Math.floor(Date.now() / 1000),
    });

    describe('of the register', () => {
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
        expect(logged).toEqual([]);
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
        await expect(registerOf('new', { env: UNREACHABLE })).rejects.toThrow(
          /^cannot read s3:\/\/bot-artifacts\/state-\w+\/tokens\.sealed: connect ECONNREFUSED .* What to do: check the route/,
        );
        logged = [];
        await (await registerOf('old')).issue(ORDER);
        const cutOff = await registerOf('old', { env: UNREACHABLE });
        const { id } = await cutOff.issue(ORDER);
        await cutOff.revoke(id);
        expect(cutOff.verdict(claims(id))).toBe('revoked');
        expect(logged).toEqual([expect.stringMatching(/^WRN cannot read .*tries again every 30 s$/)]);

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
        open.push(keys);
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
        logged = [];
        await registerOf('one');
        expect(logged).toEqual([expect.stringMatching(/^SEC .*written anew from this machine's register$/)]);
        expect((await registerOf('two')).verdict(claims(id))).toBe('revoked');
      });

      test('says beside the sealed register when tokens end that were made to last', async () => {
        const register = await registerOf('one');
        const long = await register.issue({ ...ORDER, expirySeconds: 30 * DAY_SECONDS });
        await register.issue({ ...ORDER, expirySeconds: 30 * DAY_SECONDS });
        await register.issue({ ...ORDER, expirySeconds: DAY_SECONDS });
        const gone = await register.issue({ ...ORDER, expirySeconds: 20 * DAY_SECONDS });
        await register.revoke(gone.id);
        const { Metadata } = await s3.send(
          new HeadObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${REGISTER_FILE}` }),
        );
        expect(Metadata).toEqual({ 'token-ends': long.expiresAt.toISOString().slice(0, 10) });
      });
    });

    describe('of the policy', () => {
      const RULE = { name: 'names', action: 'block', on: ['input'], words: ['hush-hush'] };
      const change = (perToken: number) => ({ sessions: { per_token: perToken } });

      test('gives the policy to the machine after this one', async () => {
        await (await policyOf('before')).replace(change(3));
        const after = await policyOf('after');
        expect(after.policy.sessions).toEqual({ per_token: 3 });
      });

      test('takes over the newer one, whichever machine it was written on', async () => {
        const old = await policyOf('old', { exchangeIntervalMs: 50 });
        const next = await policyOf('next', { exchangeIntervalMs: 50 });
        for (const store of [old, next]) store.follow();
        await old.replace(change(3));
        await until(() => next.policy.sessions.per_token === 3);
        // By hand, as the guide says.
        writeFileSync(join(machine('next'), POLICY_FILE), 'sessions: { per_token: 4 }\n');
        await until(() => old.policy.sessions.per_token === 4);
      });

      test('takes over what changed elsewhere alone, whatever the time of its own file', async () => {
        const old = await policyOf('old', { exchangeIntervalMs: 50 });
        const next = await policyOf('next', { exchangeIntervalMs: 50 });
        await old.replace(change(3));
        // A clock that is fast; S3's own times have no fractions of a second, which looks the same.
        const soon = Date.now() / 1000 + 3600;
        utimesSync(join(machine('old'), POLICY_FILE), soon, soon);
        for (const store of [old, next]) store.follow();
        await until(() => next.policy.sessions.per_token === 3);
        await next.replace(change(4));
        await until(() => old.policy.sessions.per_token === 4);
        expect(next.policy.sessions).toEqual({ per_token: 4 });
      });

      test('is replaced by what changed on this machine alone, whatever the time of its file', async () => {
        const old = await policyOf('old', { exchangeIntervalMs: 50 });
        await old.replace(change(3));
        old.follow();
        const file = join(machine('next'), POLICY_FILE);
        const next = await policyOf('next', { exchangeIntervalMs: 50 });
        // Before and after it has met its copy once more: cp -p of an older file, or a clock that is slow.
        for (const perToken of [4, 5]) {
          writeFileSync(`${file}.kept`, `sessions: { per_token: ${perToken} }\n`);
          utimesSync(`${file}.kept`, 0, Date.now() / 1000 - 3600);
          renameSync(`${file}.kept`, file);
          if (perToken === 4) next.follow();
          await until(() => old.policy.sessions.per_token === perToken);
        }
        expect(next.policy.sessions).toEqual({ per_token: 5 });
      });

      test('takes over what changed elsewhere while this machine was off, whatever the time of its file', async () => {
        await (await policyOf('old')).replace(change(3));
        const file = join(machine('old'), POLICY_FILE);
        const soon = Date.now() / 1000 + 3600;
        utimesSync(file, soon, soon);
        await (await policyOf('next')).replace(change(4));
        expect((await policyOf('old')).policy.sessions).toEqual({ per_token: 4 });
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 4/);
        expect(readFileSync(file, 'utf8')).toMatch(/per_token: 4/);
      });

      test('is replaced by what changed here while the service was off, whatever the time of the file', async () => {
        await (await policyOf('one')).replace(change(3));
        const file = join(machine('one'), POLICY_FILE);
        writeFileSync(file, 'sessions: { per_token: 4 }\n');
        utimesSync(file, 0, Date.now() / 1000 - 3600);
        expect((await policyOf('one')).policy.sessions).toEqual({ per_token: 4 });
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 4/);
        rmSync(file);
        expect((await policyOf('one')).policy.sessions).toEqual({});
        expect((await policyOf('two')).policy.sessions).toEqual({});
      });

      test('leaves a line where its file was deleted while the service was off: once, with what is in force', async () => {
        await (await policyOf('one')).replace(change(3));
        const file = join(machine('one'), POLICY_FILE);
        const starts = async () => {
          logged = [];
          const { revision } = await policyOf('one');
          return logged.map((line) => line.replace(revision, 'REVISION'));
        };
        const inForce = (perToken?: number) =>
          perToken === undefined
            ? "access policy REVISION (the default) is in force: no limits but the configuration's, no word rules"
            : `access policy REVISION is in force: at most ${perToken} requests at once with one token; no word rules`;
        const instead = (perToken?: number) =>
          `${file} was deleted while the service was off; ${inForce(perToken).replace('force', 'force instead')}`;
        rmSync(file);
        expect(await starts()).toEqual([`SEC ${instead()}`]);
        expect(await starts()).toEqual([`SEC ${inForce()}`]);

        await (await policyOf('one')).replace(change(4));
        await (await policyOf('two')).replace(change(5));
        rmSync(file);
        expect(await starts()).toEqual([`SEC ${instead(5)}`]);
        expect(await starts()).toEqual([`SEC ${inForce(5)}`]);
      });

      test('has the newer of two changes count where what both had before is not known', async () => {
        const mark = join(machine('one'), COMMON_FILE);
        const file = join(machine('one'), POLICY_FILE);
        const spoil: readonly (() => void)[] = [
          () => rmSync(mark),
          () => writeFileSync(mark, 'garbage'),
          () => writeFileSync(mark, ''),
          // Of another deployment's bucket.
          () => writeFileSync(mark, readFileSync(mark, 'utf8').replace(BUCKET, 'another-bucket')),
          () => (rmSync(mark), mkdirSync(mark)),
        ];
        let perToken = 0;
        for (const each of spoil) {
          await (await policyOf('one')).replace(change(++perToken));
          each();
          const soon = Date.now() / 1000 + 3600;
          utimesSync(file, soon, soon);
          await (await policyOf('next')).replace(change(90));
          expect((await policyOf('one')).policy.sessions).toEqual({ per_token: perToken });
        }
      });

      test('is replaced by the policy of a backup, and by the one before where that does not work', async () => {
        const [place, aside] = [machine('one'), join(folder(), 'one.before')];
        await (await policyOf('one')).replace(change(3));
        cpSync(place, join(folder(), 'backup'), { recursive: true, preserveTimestamps: true });
        await (await policyOf('one')).replace(change(4));

        // This machine's clock is slow.
        const beSlow = () => utimesSync(join(place, POLICY_FILE), 0, Date.now() / 1000 - 3600);

        renameSync(place, aside);
        renameSync(join(folder(), 'backup'), place);
        await restoredPolicyCounts(place, aside);
        beSlow();
        expect((await policyOf('one')).policy.sessions).toEqual({ per_token: 3 });
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 3/);

        await formerPolicyCounts(place, aside);
        rmSync(place, { recursive: true });
        renameSync(aside, place);
        beSlow();
        expect((await policyOf('one')).policy.sessions).toEqual({ per_token: 4 });
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 4/);
      });

      test('stays where a backup holds no policy', async () => {
        await (await policyOf('one')).replace(change(3));
        const aside = join(folder(), 'one.before');
        renameSync(machine('one'), aside);
        await restoredPolicyCounts(machine('one'), aside);
        expect((await policyOf('one')).policy.sessions).toEqual({ per_token: 3 });
      });

      test('is newer than the disk of an older snapshot, whatever the time of its file', async () => {
        await (await policyOf('one')).replace(change(3));
        cpSync(machine('one'), machine('restored'), { recursive: true });
        await (await policyOf('one')).replace(change(4));
        const soon = Date.now() / 1000 + 3600;
        utimesSync(join(machine('restored'), POLICY_FILE), soon, soon);
        expect((await policyOf('restored')).policy.sessions).toEqual({ per_token: 4 });
      });

      test('is replaced by a file that was emptied', async () => {
        const old = await policyOf('old', { exchangeIntervalMs: 50 });
        await old.replace(change(3));
        await policyOf('next');
        writeFileSync(join(machine('next'), POLICY_FILE), '');
        await policyOf('next');
        old.follow();
        await until(() => old.policy.sessions.per_token === undefined);
        expect((await policyOf('next')).policy.sessions).toEqual({});
      });

      test('keeps of what both had a digest only, for nobody else to read', async () => {
        await (await policyOf('one')).replace({ ...change(3), words: [RULE] });
        const mark = join(machine('one'), COMMON_FILE);
        expect(statSync(mark).mode & 0o777).toBe(0o600);
        expect(readFileSync(mark, 'utf8')).toMatch(
          new RegExp(`^[0-9a-f]{64}  s3://${BUCKET}/${prefix}/${POLICY_FILE}\\n$`),
        );
      });

      test('keeps what another machine wrote before it heard of a removal', async () => {
        const old = await policyOf('old', { exchangeIntervalMs: 50 });
        await old.replace(change(3));
        await (await policyOf('next')).replace(change(4));
        rmSync(join(machine('old'), POLICY_FILE));
        old.follow();
        await until(() => old.policy.sessions.per_token === 4);
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 4/);
      });

      test('is newer than a file of an older snapshot, and older than one that was edited since', async () => {
        await (await policyOf('one')).replace(change(3));
        const file = join(machine('two'), POLICY_FILE);
        writeFileSync(file, 'sessions: { per_token: 1 }\n');
        utimesSync(file, 0, Date.now() / 1000 - 3600);
        expect((await policyOf('two')).policy.sessions).toEqual({ per_token: 3 });
        writeFileSync(file, 'sessions: { per_token: 2 }\n');
        utimesSync(file, 0, Date.now() / 1000 + 5);
        expect((await policyOf('two')).policy.sessions).toEqual({ per_token: 2 });
        expect((await kept(POLICY_FILE)).toString()).toBe('sessions: { per_token: 2 }\n');
      });

      test('is told that a policy was removed, and never takes a broken one', async () => {
        const store = await policyOf('one', { exchangeIntervalMs: 50 });
        store.follow();
        await store.replace(change(3));
        writeFileSync(join(machine('one'), POLICY_FILE), 'sessions: [');
        await until(() => store.problem !== undefined);
        expect((await kept(POLICY_FILE)).toString()).toMatch(/per_token: 3/);
        rmSync(join(machine('one'), POLICY_FILE));
        await until(() => store.policy.sessions.per_token === undefined);
        const deadline = Date.now() + 40_000;
        while (/per_token/.test((await kept(POLICY_FILE)).toString()) && Date.now() < deadline);
        expect((await policyOf('two')).policy.sessions).toEqual({});
      });

      test('is needed by a machine that has no policy, and by no other', async () => {
        await expect(policyOf('new', { env: UNREACHABLE })).rejects.toThrow(/^cannot read s3:\/\//);
        writeFileSync(join(machine('old'), POLICY_FILE), 'sessions: { per_token: 1 }\n');
        expect((await policyOf('old', { env: UNREACHABLE })).policy.sessions).toEqual({ per_token: 1 });
      });
    });

    test('names an object that is not there, and what to do', async () => {
      prefix = 'nowhere';
      await expect(registerOf('one')).rejects.toThrow(
        'cannot read s3://bot-artifacts/nowhere/tokens.sealed: NoSuchKey. What to do: it was deleted: run cdktf deploy',
      );
    });
  },
);
