/** A deployment's life in an emulated account, by the real Terraform: state, updates, protection, and what is left. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

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

  beforeAll(async () => {
    account = await EmulatedAccount.start();
    deployment = account.deployment('life');
    before = await account.inventory();
  }, 2 * MINUTES);

  afterAll(async () => account.stop());

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

  const s3 = () =>
    new S3Client({
      region: 'us-east-1',
      endpoint: account.url,
      forcePathStyle: true,
      credentials: { accessKeyId: 'AKIAEMULATORADMIN000', secretAccessKey: 'only-the-emulator-takes-this' },
    });
  const objectsIn = async (bucket: string) => {
    const { Contents: objects = [] } = await s3().send(new ListObjectsV2Command({ Bucket: bucket }));
    return objects.map(({ Key }) => Key);
  };

  const succeeded = { status: 0, output: expect.anything() as unknown };
  const state = { bucket: 'a-team-state', region: 'us-east-1' };
  /** The whole of it is deployed by `npm run e2e`; what is not here has nothing to do with a deployment's life. */
  const props = {
    state,
    monitoring: false,
    keyRotationDays: 0,
    allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'],
  };

  const outputs: Record<string, string>[] = [];
  const applied = async (changes: BotProps = {}) => {
    expect(await deployment.apply({ ...props, ...changes })).toMatchObject(succeeded);
    outputs.push(deployment.outputs());
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
      expect(await deployment.plan(props)).toMatchObject(succeeded);
      expect(await objectsIn(state.bucket)).toEqual(['botstack/bot/terraform.tfstate']);
      expect(outputs[0]?.['ipv6_address']).toMatch(/^2400:6500:/);
    },
    5 * MINUTES,
  );

  it(
    'is updated, and not destroyed while it is protected',
    async () => {
      await applied({ maxTokens: 256, protect: true });
      const refused = await deployment.destroy({ ...props, protect: true });
      expect(refused.status).not.toBe(0);
      expect(refused.output).toMatch(/prevent_destroy/);
      expect(refused.output).toMatch(/set_protect_to_false_in_stacks_main_ts/);
      expect(await command('leftovers.ts', '--name', 'bot')).toMatchObject({
        status: 1,
        output: expect.stringMatching(
          /:instance\/i-[0-9a-f]+ {2}\(billed by the second while it runs\)/,
        ) as unknown,
      });
    },
    5 * MINUTES,
  );

  it(
    'is rolled back, protected as its machine was; address and key were the same all the time',
    async () => {
      await applied();
      expect(outputs).toHaveLength(3);
      for (const kept of ['endpoint', 'api_key_command']) {
        expect(new Set(outputs.map(({ [kept]: value }) => value)).size).toBe(1);
      }
      expect(new Set(outputs.map(({ instance_id: id }) => id)).size).toBe(3);
    },
    5 * MINUTES,
  );

  it(
    'leaves nothing when it is destroyed',
    async () => {
      expect(await deployment.destroy(props)).toMatchObject(succeeded);
      const left = (await account.inventory()).filter((line) => !before.includes(line));
      expect(left).toEqual([`s3 Buckets: ${state.bucket}`]);
      expect(await command('leftovers.ts')).toEqual({ status: 0, output: 'nothing is left in us-east-1\n' });
    },
    5 * MINUTES,
  );
});
