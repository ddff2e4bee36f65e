/** A deployment's life in an emulated account, by the real Terraform: state, updates, protection, and what is left. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';

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

  it(
    'keeps its state in a bucket that one command makes, and survives an update and its rollback',
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

      const props = { state };
      expect(await deployment.apply(props)).toMatchObject(succeeded);
      const first = deployment.outputs();
      expect(await deployment.plan(props)).toMatchObject(succeeded);
      expect(await objectsIn(state.bucket)).toEqual(['botstack/bot/terraform.tfstate']);

      expect(await deployment.apply({ ...props, maxTokens: 256 })).toMatchObject(succeeded);
      const updated = deployment.outputs();
      expect(await deployment.apply(props)).toMatchObject(succeeded);
      const rolledBack = deployment.outputs();
      for (const kept of ['endpoint', 'api_key_command']) {
        expect([updated[kept], rolledBack[kept]]).toEqual([first[kept], first[kept]]);
      }
      expect(new Set([first, updated, rolledBack].map(({ instance_id: id }) => id)).size).toBe(3);
    },
    10 * MINUTES,
  );

  it(
    'is not destroyed while it is protected, and leaves nothing when it is',
    async () => {
      expect(await deployment.apply({ state, protect: true })).toMatchObject(succeeded);
      const refused = await deployment.destroy({ state, protect: true });
      expect(refused.status).not.toBe(0);
      expect(refused.output).toMatch(/prevent_destroy/);
      expect(refused.output).toMatch(/set_protect_to_false_in_stacks_main_ts/);
      const standing = await command('leftovers.ts', '--name', 'bot');
      expect(standing).toMatchObject({
        status: 1,
        output: expect.stringMatching(
          /:instance\/i-[0-9a-f]+ {2}\(billed by the second while it runs\)/,
        ) as unknown,
      });

      expect(await deployment.destroy({ state })).toMatchObject(succeeded);
      const left = (await account.inventory()).filter((line) => !before.includes(line));
      expect(left).toEqual([`s3 Buckets: ${state.bucket}`]);
      expect(await command('leftovers.ts')).toEqual({ status: 0, output: 'nothing is left in us-east-1\n' });
    },
    5 * MINUTES,
  );
});
