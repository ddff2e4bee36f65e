/** Drills on the machine's side: a guest boots from what was deployed, with one thing wrong. */
import assert from 'node:assert/strict';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { DeployedInstance } from '../box/account';
import type { BootOptions } from '../box/box';
import { keyIn } from '../checks/secrets';
import { type BootReport, s3, type Subject } from '../checks/subject';
import { waitForReport } from '../path';
import { type MachineDrill, says } from './drill';

export const machineDrills: MachineDrill[] = [
  {
    kind: 'machine',
    name: 'bundle',
    about: 'the bundle in S3 is not the one that was deployed',
    run: (report, subject) =>
      // The user-data expects another bundle than the one that lies there.
      report
        .check('a bundle whose hash does not match is refused', async () => {
          const hash = keyIn(subject.instance.userData, 'BUNDLE_SHA256');
          const boot = await bootBroken(subject, 'bundle', {
            replace: [
              `BUNDLE_SHA256=${hash}`,
              `BUNDLE_SHA256=${hash.replace(/^./, (c) => (c === '0' ? '1' : '0'))}`,
            ],
          });
          assert.equal(boot.step, 'bundle');
          says(
            boot.message,
            /is not what was deployed: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}/,
            /cdktf deploy/,
          );
          return boot.message;
        })
        .then(() => undefined),
  },
  {
    kind: 'machine',
    name: 'model',
    about: 'the model in S3 is damaged',
    run: async (report, subject) => {
      const key = { Bucket: subject.bucket, Key: keyIn(subject.instance.userData, 'MODEL_KEY') };
      const client = s3(subject.deployment.box.account);
      const { VersionId } = await client.send(
        new PutObjectCommand({ ...key, Body: 'GGUF, but not for long' }),
      );
      await report.check('a model damaged in S3 is refused', async () => {
        const boot = await bootBroken(subject, 'model', {});
        assert.equal(boot.step, 'model');
        says(boot.message, /is not what was deployed: expected SHA-256/, /\.gguf/);
        return boot.message;
      });
      // The whole one is the version below.
      await client.send(new DeleteObjectCommand({ ...key, VersionId }));
    },
  },
  {
    kind: 'machine',
    name: 'secret',
    about: 'the role may not read the secret that holds the API key',
    run: (report, subject) =>
      report
        .check('an unreadable secret stops the start and is named', async () => {
          const arn =
            /arn:aws:secretsmanager:[\w:-]+/.exec(
              Buffer.from(subject.instance.userData, 'base64').toString(),
            )?.[0] ?? '';
          const other = arn.replace(/.{6}$/, 'AbCdEf');
          const boot = await bootBroken(subject, 'secret', { replace: [arn, other] });
          assert.equal(boot.step, 'services');
          says(
            boot.message,
            /bot\.service did not start/,
            new RegExp(other),
            /denied|not authorized|not allowed/i,
          );
          return boot.message;
        })
        .then(() => undefined),
  },
  {
    kind: 'machine',
    name: 'memory',
    about: 'the machine has too little memory for the model',
    run: (report, subject) =>
      report
        .check('too little memory for the model is said with the figures', async () => {
          const boot = await bootBroken(subject, 'memory', {}, { size: { cpus: 2, memoryMiB: 600 } });
          assert.equal(boot.step, 'services');
          says(boot.message, /bot\.service did not start/, /memory/i, /\d+ MiB/);
          return boot.message;
        })
        .then(() => undefined),
  },
];

interface Fault {
  /** A text of the user-data and what stands in its place. */
  replace?: [string, string];
}

let drilled = 0;

/** Boots a guest of its own with the fault, and returns its last report, which has to be a failure. */
async function bootBroken(
  { deployment: { box }, instance, bucket }: Subject,
  name: string,
  { replace }: Fault,
  options: Partial<BootOptions> = {},
): Promise<BootReport> {
  const text = Buffer.from(instance.userData, 'base64').toString('utf8');
  if (replace) assert.ok(text.includes(replace[0]), `the user-data does not hold ${replace[0]}`);
  const altered: DeployedInstance = {
    ...instance,
    instanceId: `i-0d0d0d0d0d0d0d0${(drilled++).toString(16).padStart(2, '0')}`,
    userData: Buffer.from(replace ? text.replaceAll(...replace) : text).toString('base64'),
  };
  const guest = await box.boot(altered, {
    name: `drill-${name}`,
    addresses: box.reserveAddresses(),
    ...options,
  });
  try {
    const boot = await waitForReport(box, bucket, altered.instanceId);
    assert.equal(
      boot.status,
      'failed',
      `the bootstrap of drill ${name} was expected to fail: ${boot.message}`,
    );
    assert.ok((boot.log ?? '').split('\n').length > 3, 'the report does not carry the end of the log');
    return boot;
  } finally {
    await guest.powerOff();
  }
}
