/** The API key is where it must be and nowhere else; the machine's role can do what it must and nothing else. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  GetSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import type { Report } from '../report';
import { secretsManager, type Subject } from './subject';

export async function checkSecrets(report: Report, subject: Subject): Promise<void> {
  const { deployment, instance, guest, apiKey } = subject;
  const { logs } = deployment.box.folder;

  await report.check('the API key is not in the user-data', () => {
    assert.ok(!Buffer.from(instance.userData, 'base64').includes(apiKey));
  });

  await report.check('the API key is not in the state, the synthesised files or the outputs', () => {
    assert.ok(deployment.stateFile());
    const holding = deployment.files().filter((file) => readFileSync(file).includes(apiKey));
    assert.deepEqual(holding, []);
    return `${deployment.files().length} files looked through`;
  });

  await report.check('the API key is not in what the deploy printed, nor in any other log', () => {
    // The emulator plays Secrets Manager, but it logs requests and not answers.
    const holding = readdirSync(logs).filter((name) => readFileSync(join(logs, name)).includes(apiKey));
    assert.deepEqual(holding, []);
  });

  await report.check(
    "the API key is not in the guest's process list, environments, journal, logs or files",
    async () => {
      // By standard input: on a command line it would be found.
      const script = `read -r key
      for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do
        grep -qsaF -e "$key" "$file" && echo "$file: $(tr '\\0' ' ' <"\${file%/*}/cmdline")"
      done
      journalctl --no-pager --quiet | grep -qF -e "$key" && echo journal
      grep -rlsaF -e "$key" /var/log /etc /opt/bot/scripts/ /var/lib/bot /var/lib/cloud /run/bot-bootstrap /tmp /usr/local/lib/bot
      true`;
      const { stdout } = await guest.shell(script, { input: `${apiKey}\n` });
      assert.equal(stdout.trim(), '');
    },
  );

  await report.check(
    'the configuration on the guest is readable for the service and for root only',
    async () => {
      const { stdout } = await guest.exec(['stat', '-c', '%a %U:%G', '/etc/bot/config.yaml']);
      assert.equal(stdout.trim(), '640 root:bot');
    },
  );
}

/** moto enforces the role's policies: see box/emulator.py. */
export async function checkRole(report: Report, subject: Subject): Promise<void> {
  const { deployment, instance, bucket } = subject;
  const { account } = deployment.box;

  await report.check(
    "the machine's role reads its objects and its secret, writes reports, and is denied all else",
    async () => {
      const given = await account.roleCredentials(instance.roleName ?? '');
      const options = {
        endpoint: account.endpointUrl,
        region: account.region,
        forcePathStyle: true,
        credentials: {
          accessKeyId: given.AccessKeyId ?? '',
          secretAccessKey: given.SecretAccessKey ?? '',
          sessionToken: given.Token,
        },
      };
      const s3 = new S3Client(options);
      const secrets = new SecretsManagerClient(options);
      const bundleKey = keyIn(instance.userData, 'BUNDLE_KEY');
      const modelKey = keyIn(instance.userData, 'MODEL_KEY');
      const range = 'bytes=0-0';
      await s3.send(new GetObjectCommand({ Bucket: bucket, Key: bundleKey, Range: range }));
      await s3.send(new GetObjectCommand({ Bucket: bucket, Key: modelKey, Range: range }));

      const decoy = await secretsManager(account).send(
        new CreateSecretCommand({ Name: 'somebody-elses', SecretString: 'x' }),
      );
      try {
        const denied: Record<string, () => Promise<unknown>> = {
          'read another secret': () => secrets.send(new GetSecretValueCommand({ SecretId: decoy.ARN })),
          'replace the bundle': () =>
            s3.send(new PutObjectCommand({ Bucket: bucket, Key: bundleKey, Body: 'x' })),
          'replace the model': () =>
            s3.send(new PutObjectCommand({ Bucket: bucket, Key: modelKey, Body: 'x' })),
          'write outside its reports': () =>
            s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'notes.txt', Body: 'x' })),
          'delete the model': () => s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: modelKey })),
          'delete what it keeps': () =>
            s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'state/tokens.sealed' })),
          'delete a report': () =>
            s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: `reports/${instance.instanceId}.json` })),
          'read a parameter of SSM': () => getParameter(options, '/somebody/elses'),
          'list the bucket': () => s3.send(new ListObjectsV2Command({ Bucket: bucket })),
          'read a report': () =>
            s3.send(new GetObjectCommand({ Bucket: bucket, Key: `reports/${instance.instanceId}.json` })),
        };
        for (const [what, attempt] of Object.entries(denied)) {
          await assert.rejects(
            attempt,
            (error: Error) => /AccessDenied/.test(error.name),
            `the role may ${what}`,
          );
        }
        return `denied: ${Object.keys(denied).join(', ')}`;
      } finally {
        await secretsManager(account).send(
          new DeleteSecretCommand({ SecretId: decoy.ARN, ForceDeleteWithoutRecovery: true }),
        );
      }
    },
  );

  await report.check('the instance takes version 2 of the metadata service only', () => {
    assert.equal(instance.httpTokens, 'required');
  });
}

interface Caller {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly sessionToken?: string | undefined };
}

/** One request to SSM, for which a client of 3 MB would be much. The emulator looks at who asks, not at signatures. */
async function getParameter({ endpoint, region, credentials }: Caller, name: string): Promise<unknown> {
  const scope = `${credentials.accessKeyId}/20260101/${region}/ssm/aws4_request`;
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': 'AmazonSSM.GetParameter',
      'x-amz-security-token': credentials.sessionToken ?? '',
      authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify({ Name: name }),
  });
  const answer = (await response.json()) as { __type?: string };
  if (!response.ok) {
    throw Object.assign(new Error(JSON.stringify(answer)), { name: answer.__type ?? 'unknown' });
  }
  return answer;
}

/** A value of the bootstrap's environment file, which the user-data carries as plain text. */
export function keyIn(userData: string, variable: string): string {
  const text = Buffer.from(userData, 'base64').toString('utf8');
  const value = new RegExp(`\\b${variable}=(\\S+)`).exec(text)?.[1];
  if (!value) throw new Error(`the user-data names no ${variable}`);
  return value;
}
