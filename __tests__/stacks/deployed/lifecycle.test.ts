/** A deployment's life in an emulated account, by the real Terraform: state, updates, protection, and what is left. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import {
  DeleteSnapshotCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import {
  GetObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

import type { BotProps } from '../../../stacks/props';
import { checkStateBucket } from '../../../stacks/state';
import { ROOT } from '../../../stacks/version';
import { type Deployment, EmulatedAccount, lacking, type Outcome } from './emulated-account';

const missing = lacking();
const MINUTES = 60_000;

(missing === '' ? describe : describe.skip)(`a deployment${missing && ` (skipped: ${missing})`}`, () => {
  let account: EmulatedAccount;
  let deployment: Deployment;
  let before: string[];
  /** Most of a deploy is waiting: the one with IPv6, which takes the longest, runs beside the others. */
  let besides: EmulatedAccount;
  let withIpv6: Promise<{ applied: Outcome; address: string | undefined; destroyed: Outcome }>;

  beforeAll(async () => {
    account = await EmulatedAccount.start();
    deployment = account.deployment('life');
    before = await account.inventory();
    // In an account of its own: the emulator is not made for two deployments that are made at once.
    besides = await EmulatedAccount.start();
    withIpv6 = liveWithIpv6(besides.deployment('six'));
  }, 2 * MINUTES);

  afterAll(async () => {
    await withIpv6;
    await Promise.all([account.stop(), besides.stop()]);
  });

  async function liveWithIpv6(six: Deployment) {
    const props = {
      name: 'six',
      monitoring: false,
      keyRotationDays: 0,
      allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'],
    };
    const applied = await six.apply(props);
    const { ipv6_address: address } = await six.outputs();
    return { applied, address, destroyed: await six.destroy(props) };
  }

  /** Runs one of the project's commands as npm does. */
  const command = (script: string, ...args: string[]): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const child = spawn(
        process.execPath,
        [require.resolve('tsx/cli'), join(ROOT, 'scripts', script), ...args],
        {
          env: account.environment,
        },
      );
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => (output += text));
      }
      child.once('error', reject);
      child.once('close', (status) => resolve({ status: status ?? 1, output }));
    });

  const asAdministrator = () => ({
    region: 'us-east-1',
    endpoint: account.url,
    credentials: { accessKeyId: 'AKIAEMULATORADMIN000', secretAccessKey: 'only-the-emulator-takes-this' },
  });
  const s3 = () => new S3Client({ ...asAdministrator(), forcePathStyle: true });
  const ec2 = () => new EC2Client(asAdministrator());
  const objectsIn = async (bucket: string) => {
    const { Contents: objects = [] } = await s3().send(new ListObjectsV2Command({ Bucket: bucket }));
    return objects.map(({ Key }) => Key);
  };

  /** A failure shows what was said. */
  const expectSuccess = ({ status, output }: { status: number; output: string }) =>
    expect(status === 0 ? 'succeeded' : output).toBe('succeeded');
  const state = { bucket: 'a-team-state', region: 'us-east-1' };
  /** The whole of it is deployed by `npm run e2e`; what is not here has nothing to do with a deployment's life. */
  const props = {
    state,
    monitoring: false,
    keyRotationDays: 0,
    backup: { keepDays: 2 },
  };

  /** As Data Lifecycle Manager does at the time of a policy. @returns the snapshots' ids */
  const takeSnapshots = async () => {
    const response = await fetch(`${account.url}/botstack/take-snapshots`, { method: 'POST' });
    return ((await response.json()) as { snapshots: string[] }).snapshots;
  };
  /** What a machine keeps in the bucket of the deployment. */
  const kept = async (Body?: string) => {
    const { Buckets = [] } = await s3().send(new ListBucketsCommand());
    const Bucket = Buckets.find(({ Name }) => Name?.startsWith('bot-artifacts-'))?.Name;
    const object = { Bucket, Key: 'state/tokens.sealed' };
    if (Body !== undefined) await s3().send(new PutObjectCommand({ ...object, Body }));
    return (await s3().send(new GetObjectCommand(object))).Body?.transformToString();
  };
  const snapshots: string[] = [];

  const outputs: Record<string, string>[] = [];
  const applied = async (changes: BotProps = {}) => {
    expectSuccess(await deployment.apply({ ...props, ...changes }));
    outputs.push(await deployment.outputs());
  };

  // One life, in chapters: each begins where the one before it ended.

  it(
    'keeps its state in a bucket that one command makes, and has nothing to do when nothing has changed',
    async () => {
      const problem = await checkStateBucket(state, 'us-east-1', s3()).catch((error: unknown) =>
        String(error),
      );
      expect(problem).toMatch(/does not exist: make it with npm run state-bucket -- a-team-state/);

      expect(await command('state-bucket.ts', state.bucket, '--region', 'us-east-1')).toMatchObject({
        status: 0,
        output: expect.stringMatching(
          /a-team-state in us-east-1 made: versioned, encrypted, private/,
        ) as unknown,
      });
      expect((await command('state-bucket.ts', state.bucket)).output).toMatch(/was there/);

      await applied();
      expect(await kept()).toBe('');
      await kept('what the machine knows');
      expectSuccess(await deployment.plan(props));
      expect(await objectsIn(state.bucket)).toEqual(['botstack/bot/terraform.tfstate']);
    },
    5 * MINUTES,
  );

  it(
    'is updated, and not destroyed while it is protected',
    async () => {
      for (let day = 1; day <= 3; day++) snapshots.push(...(await takeSnapshots()));
      expect(snapshots).toHaveLength(3);
      await applied({ maxTokens: 256, protect: true });
      const refused = await deployment.destroy({ ...props, protect: true });
      expect(refused.status).not.toBe(0);
      expect(refused.output).toMatch(/prevent_destroy/);
      expect(refused.output).toMatch(/set_protect_to_false_in_stacks_main_ts/);
      const { status, output } = await command('leftovers.ts', '--name', 'bot');
      expect(status).toBe(1);
      // What costs most comes first.
      expect(output.match(/^ {2}.*$/m)?.[0]).toMatch(
        /:instance\/i-[0-9a-f]+ {2}\(billed by the second while it runs\)/,
      );
      // The policy keeps two.
      const listed = [...output.matchAll(/:snapshot\/(snap-[0-9a-f]+) {2}\(billed by the GB/g)].map(
        ([, id]) => id,
      );
      expect(listed.sort()).toEqual(snapshots.slice(1).sort());
    },
    5 * MINUTES,
  );

  it(
    'is rolled back to a snapshot, protected as its machine was; address, key and state were the same all the time',
    async () => {
      const restoreFromSnapshot = snapshots.at(-1);
      await applied({ restoreFromSnapshot });
      const { Reservations: [{ Instances: [machine] = [] } = {}] = [] } = await ec2().send(
        new DescribeInstancesCommand({ InstanceIds: [outputs.at(-1)?.['instance_id'] ?? ''] }),
      );
      const { Images: [image] = [] } = await ec2().send(
        new DescribeImagesCommand({ ImageIds: [machine?.ImageId ?? ''] }),
      );
      expect(image).toMatchObject({
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: restoreFromSnapshot } }],
      });
      expect(await kept()).toBe('what the machine knows');
      expect(outputs).toHaveLength(3);
      for (const kept of ['endpoint', 'api_key_command']) {
        expect(new Set(outputs.map(({ [kept]: value }) => value)).size).toBe(1);
      }
      expect(new Set(outputs.map(({ instance_id: id }) => id)).size).toBe(3);
    },
    5 * MINUTES,
  );

  it(
    'has IPv6 where somebody comes from it',
    async () => {
      const { applied: up, address, destroyed } = await withIpv6;
      expectSuccess(up);
      expect(address).toMatch(/^2400:6500:/);
      expectSuccess(destroyed);
    },
    5 * MINUTES,
  );

  it(
    'leaves nothing but its snapshots when it is destroyed',
    async () => {
      expectSuccess(await deployment.destroy(props));
      const left = (await account.inventory()).filter((line) => !before.includes(line));
      expect(left.sort()).toEqual(
        [...snapshots.slice(1).map((id) => `ec2 Snapshots: ${id}`), `s3 Buckets: ${state.bucket}`].sort(),
      );
      const { status, output } = await command('leftovers.ts');
      expect(status).toBe(1);
      expect(output.match(/^ {2}.*$/gm)).toHaveLength(2);
      for (const SnapshotId of snapshots.slice(1))
        await ec2().send(new DeleteSnapshotCommand({ SnapshotId }));
      expect(await command('leftovers.ts')).toEqual({ status: 0, output: 'nothing is left in us-east-1\n' });
    },
    5 * MINUTES,
  );
});
