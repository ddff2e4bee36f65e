/** Two machines, one copy of the access policy: the real policy and signed requests, and an emulator for the bucket. */
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

import { formerPolicyCounts, restoredPolicyCounts } from '../../../runtime/src/operations/restored-policy';
import { COMMON_FILE } from '../../../runtime/src/policy/last-common';
import { POLICY_FILE, PolicyStore } from '../../../runtime/src/policy/store';
import { until } from '../support/test-service';
import { BUCKET, describeWithEmulator, unreachable, useMachines } from './support/machines';

describeWithEmulator("the copy of a machine's policy", () => {
  const world = useMachines();
  const { folder, kept, machine, object } = world;

  interface Setting {
    readonly env?: Record<string, string | undefined>;
    readonly exchangeIntervalMs?: number;
  }

  async function policyOf(name: string, { env, ...more }: Setting = {}) {
    const store = await PolicyStore.open({
      directory: machine(name),
      maxRequestSeconds: 300,
      copy: object(POLICY_FILE, env),
      log: world.log,
      ...more,
    });
    return world.open(store);
  }

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
      world.logged = [];
      const { revision } = await policyOf('one');
      return world.logged.map((line) => line.replace(revision, 'REVISION'));
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
      new RegExp(`^[0-9a-f]{64}  s3://${BUCKET}/${world.prefix}/${POLICY_FILE}\\n$`),
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
    await expect(policyOf('new', { env: unreachable() })).rejects.toThrow(/^cannot read s3:\/\//);
    writeFileSync(join(machine('old'), POLICY_FILE), 'sessions: { per_token: 1 }\n');
    expect((await policyOf('old', { env: unreachable() })).policy.sessions).toEqual({ per_token: 1 });
  });
});
