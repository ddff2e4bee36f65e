/** The functions as they are, against an emulator that holds real secrets and topics. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';

import { ApiKeys } from '../../runtime/src/access/api-keys';
import { keySource } from '../../runtime/src/access/key-source';
import { configSchema } from '../../runtime/src/config/schema';
import {
  type Emulator,
  FIRST_KEY,
  hasEmulator,
  placeholderFunction,
  secretInRotation,
  stagesOf,
  startEmulator,
  startRotation,
} from './emulator';

const STEPS = ['createSecret', 'setSecret', 'testSecret', 'finishSecret'] as const;

(hasEmulator ? describe : describe.skip)(
  `the functions${hasEmulator ? '' : ' (skipped: no moto_server; pip install "moto[server]")'}`,
  () => {
    let emulator: Emulator;
    let secrets: SecretsManagerClient;
    let functionArn: string;
    // Both read the environment when they are loaded, as they do in Lambda.
    let rotate: typeof import('../../functions/rotate-key.js').handler;
    let remind: typeof import('../../functions/remind.js').handler;

    beforeAll(async () => {
      emulator = await startEmulator();
      functionArn = await placeholderFunction(emulator.url);
      secrets = new SecretsManagerClient({});
      ({ handler: rotate } = await import('../../functions/rotate-key.js'));
      ({ handler: remind } = await import('../../functions/remind.js'));
    }, 180_000);

    afterAll(async () => {
      secrets.destroy();
      await emulator.stop();
    });

    const begin = () => secretInRotation(secrets, functionArn);
    const step = (Step: string, arn: string, token: string) =>
      rotate({ SecretId: arn, ClientRequestToken: token, Step });
    const valueOf = async (arn: string, VersionStage: string) =>
      (await secrets.send(new GetSecretValueCommand({ SecretId: arn, VersionStage }))).SecretString;

    /** What every rotation ends with, however often its steps were called. */
    async function expectRotated(arn: string, token: string, before = FIRST_KEY): Promise<void> {
      const stages = await stagesOf(secrets, arn);
      expect(stages[token]).toEqual(['AWSCURRENT']);
      expect(Object.values(stages).flat()).not.toContain('AWSPENDING');
      expect(await valueOf(arn, 'AWSCURRENT')).toMatch(/^sk-[A-Za-z0-9]{48}$/);
      expect(await valueOf(arn, 'AWSCURRENT')).not.toBe(before);
      expect(await valueOf(arn, 'AWSPREVIOUS')).toBe(before);
    }

    describe('rotate-key', () => {
      it('makes a new key the current one and leaves nothing pending', async () => {
        const { arn, token } = await begin();
        expect((await stagesOf(secrets, arn))[token]).toEqual(['AWSPENDING']);
        for (const each of STEPS) {
          await step(each, arn, token);
          if (each !== 'finishSecret') expect(await valueOf(arn, 'AWSCURRENT')).toBe(FIRST_KEY);
        }
        await expectRotated(arn, token);
      });

      it('does each step once, however often it is called', async () => {
        const { arn, token } = await begin();
        await step('createSecret', arn, token);
        const key = await valueOf(arn, 'AWSPENDING');
        for (const each of STEPS) {
          await step(each, arn, token);
          await step(each, arn, token);
        }
        expect(await valueOf(arn, 'AWSCURRENT')).toBe(key);
        for (const each of STEPS) await step(each, arn, token);
        expect(await valueOf(arn, 'AWSCURRENT')).toBe(key);
        await expectRotated(arn, token);
      });

      it('ends what was cut off between the two labels', async () => {
        const { arn, token } = await begin();
        await step('createSecret', arn, token);
        const stages = await stagesOf(secrets, arn);
        const current = Object.keys(stages).find((version) => stages[version]?.includes('AWSCURRENT'));
        await secrets.send(
          new UpdateSecretVersionStageCommand({
            SecretId: arn,
            VersionStage: 'AWSCURRENT',
            MoveToVersionId: token,
            RemoveFromVersionId: current,
          }),
        );
        await step('finishSecret', arn, token);
        await expectRotated(arn, token);
      });

      it('rotates again and again', async () => {
        const { arn, token } = await begin();
        for (const each of STEPS) await step(each, arn, token);
        const second = (await valueOf(arn, 'AWSCURRENT')) ?? '';
        const next = await startRotation(secrets, arn, functionArn);
        for (const each of STEPS) await step(each, arn, next);
        await expectRotated(arn, next, second);
      });

      it('makes no key of what is none', async () => {
        const { arn, token } = await begin();
        await secrets.send(
          new PutSecretValueCommand({
            SecretId: arn,
            ClientRequestToken: token,
            SecretString: 'short',
            VersionStages: ['AWSPENDING'],
          }),
        );
        for (const each of ['testSecret', 'finishSecret']) {
          await expect(step(each, arn, token)).rejects.toThrow('the pending version holds no API key');
        }
      });

      it('does not finish before there is a key, but can be called to see whether it can be called', async () => {
        const { arn, token } = await begin();
        await step('testSecret', arn, token);
        await expect(step('finishSecret', arn, token)).rejects.toThrow(
          'the pending version holds no API key',
        );
        expect(await valueOf(arn, 'AWSCURRENT')).toBe(FIRST_KEY);
      });

      it.each([
        ['a step that there is not', { Step: 'dropSecret' }, 'Step should be one of createSecret, '],
        [
          'a version that there is not',
          { ClientRequestToken: 'ffffffff-0000-4000-8000-000000000000' },
          'the secret has no version with the id of this rotation',
        ],
      ])('refuses %s', async (_what, changes, message) => {
        const { arn, token } = await begin();
        await expect(
          rotate({ SecretId: arn, ClientRequestToken: token, Step: 'createSecret', ...changes }),
        ).rejects.toThrow(message);
      });

      it('leaves the version before alone', async () => {
        const { arn, token } = await begin();
        for (const each of STEPS) await step(each, arn, token);
        const stages = await stagesOf(secrets, arn);
        const previous = Object.keys(stages).find((version) => stages[version]?.includes('AWSPREVIOUS'))!;
        await expect(step('createSecret', arn, previous)).rejects.toThrow('neither pending nor current');
      });

      it('leaves a service that runs with both keys valid', async () => {
        const { arn, token } = await begin();
        const config = configSchema.parse({
          model_path: '/none.gguf',
          security: { api_key_secret_id: arn, region: 'us-east-1' },
        });
        const { source, refreshIntervalMs } = keySource(config, process.env);
        const keys = await ApiKeys.open({
          source,
          refreshIntervalMs,
          unknownKeyIntervalMs: 0,
          onProblem: (text) => {
            throw new Error(text);
          },
        });
        try {
          for (const each of STEPS) {
            await step(each, arn, token);
            expect(keys.has(FIRST_KEY)).toBe(true);
          }
          const key = (await valueOf(arn, 'AWSCURRENT')) ?? '';
          expect(keys.has(key)).toBe(false);
          // What a request with a key that is not known yet sets off.
          await keys.refreshForUnknownKey();
          expect([keys.has(key), keys.has(FIRST_KEY)]).toEqual([true, true]);
        } finally {
          keys.close();
        }
      });
    });

    describe('remind', () => {
      let listener: Server;
      const mails: { Subject?: string; Message: string }[] = [];

      beforeAll(async () => {
        listener = createServer((request, response) => {
          let body = '';
          request.on('data', (text: Buffer) => (body += text.toString()));
          request.on('end', () => {
            const mail = JSON.parse(body) as { Type: string; Subject?: string; Message: string };
            if (mail.Type === 'Notification') mails.push(mail);
            response.end();
          });
        });
        await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
        const sns = new SNSClient({});
        const { TopicArn: topic } = await sns.send(new CreateTopicCommand({ Name: 'alerts' }));
        const endpoint = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
        await sns.send(new SubscribeCommand({ TopicArn: topic, Protocol: 'http', Endpoint: endpoint }));
        sns.destroy();
        Object.assign(process.env, {
          DEPLOYMENT: 'team',
          TOPIC_ARN: topic,
          BUCKET: 'team-artifacts',
          REGISTER_KEY: 'state/tokens.sealed',
        });
        await s3().send(new CreateBucketCommand({ Bucket: 'team-artifacts' }));
      });

      const s3 = () => new S3Client({ forcePathStyle: true });
      /** As the runtime writes it; without dates, as the deploy makes it. */
      const keepRegister = (Metadata?: Record<string, string>) =>
        s3().send(
          new PutObjectCommand({
            Bucket: 'team-artifacts',
            Key: 'state/tokens.sealed',
            Body: Buffer.from('sealed'),
            Metadata,
          }),
        );

      beforeEach(async () => {
        mails.splice(0);
        await keepRegister();
      });

      afterAll(() => {
        listener.closeAllConnections();
        listener.close();
      });

      it('says so 14, 7 and 1 days before, once each, and on no other day', async () => {
        const { arn } = await begin();
        process.env['SECRET_ARN'] = arn;
        const { NextRotationDate: end } = await secrets.send(new DescribeSecretCommand({ SecretId: arn }));
        for (let days = 20; days >= -1; days--) {
          await remind({}, undefined, new Date(end!.getTime() - days * 86_400_000));
        }
        expect(mails.map(({ Subject }) => Subject)).toEqual([
          'botstack team: the API key is replaced in 14 days',
          'botstack team: the API key is replaced in 7 days',
          'botstack team: the API key is replaced tomorrow',
        ]);
        expect(mails[0]?.Message).toContain(`in 14 days, on ${end!.toISOString().slice(0, 10)}`);
        expect(mails.map(({ Message }) => Message).join()).not.toContain(FIRST_KEY);
      });

      it('says nothing where no rotation is planned', async () => {
        const { CreateSecretCommand } = await import('@aws-sdk/client-secrets-manager');
        const { ARN } = await secrets.send(
          new CreateSecretCommand({ Name: 'left-alone', SecretString: FIRST_KEY }),
        );
        process.env['SECRET_ARN'] = ARN;
        expect(await remind({})).toBe('no rotation is planned; tokens: none that was made to last');
        expect(mails).toEqual([]);
      });

      it('says the same of access tokens, and of the last one that it is the last', async () => {
        const { CreateSecretCommand } = await import('@aws-sdk/client-secrets-manager');
        const { ARN } = await secrets.send(
          new CreateSecretCommand({ Name: 'never-replaced', SecretString: FIRST_KEY }),
        );
        process.env['SECRET_ARN'] = ARN;
        await keepRegister({ 'token-ends': '2030-03-10,2030-03-15' });
        for (let day = 20; day <= 45; day++) await remind({}, undefined, new Date(Date.UTC(2030, 1, day, 8)));
        expect(mails.map(({ Subject }) => Subject)).toEqual([
          'botstack team: access tokens end in 14 days',
          'botstack team: the last access token ends in 14 days',
          'botstack team: access tokens end in 7 days',
          'botstack team: the last access token ends in 7 days',
          'botstack team: access tokens end tomorrow',
          'botstack team: the last access token ends tomorrow',
        ]);
        expect(mails[0]?.Message).toContain('end in 14 days, on 2030-03-10.');
        expect(mails[1]?.Message).toContain('on 2030-03-15; none that was made for more than a week');
        expect(await remind({}, undefined, new Date('2030-03-01'))).toBe(
          'no rotation is planned; tokens: 9, 14 days left',
        );
        await keepRegister({ 'token-ends': '2030-03-02' });
        expect(await remind({}, undefined, new Date('2030-03-01'))).toBe(
          'no rotation is planned; tokens: 1 day left',
        );
      });
    });
  },
);
