/** The AWS emulator for one test file, on a free port of loopback, with a secret that a function rotates. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';

import {
  CreateSecretCommand,
  DescribeSecretCommand,
  RotateSecretCommand,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { freePort } from '../support/free-port';

const HOST = '127.0.0.1';
/** Its modules come from a disk that may never have been read. */
const START_PATIENCE_MS = 120_000;
export const REGION = 'us-east-1';
export const FIRST_KEY = `sk-${'A1b2'.repeat(12)}`;

export const hasEmulator = spawnSync('moto_server', ['--help'], { stdio: 'ignore' }).status === 0;

export interface Emulator {
  readonly url: string;
  stop(): Promise<void>;
}

/** Sets the environment of this process so that every AWS SDK goes to the emulator. */
export async function startEmulator(): Promise<Emulator> {
  const port = await freePort();
  const child = spawn('moto_server', ['-H', HOST, '-p', String(port)], { stdio: 'ignore' });
  const url = `http://${HOST}:${port}`;
  await answering(url, child);
  // Its own way to run functions wants Docker; here the test calls the handler, as Secrets Manager would.
  await post(`${url}/moto-api/config`, { lambda: { use_docker: false } });
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
  return {
    url,
    stop: () =>
      new Promise((resolve) => {
        child.once('close', () => resolve());
        child.kill('SIGKILL');
      }),
  };
}

/** A secret with a first key, and a version that waits for its value: where Secrets Manager is when it calls. */
export async function secretInRotation(secrets: SecretsManagerClient, functionArn: string) {
  const { ARN: arn = '' } = await secrets.send(
    new CreateSecretCommand({ Name: `bot-api-key-${randomUUID()}`, SecretString: FIRST_KEY }),
  );
  return { arn, token: await startRotation(secrets, arn, functionArn) };
}

/** @returns the id of the version that is to become the key */
export async function startRotation(
  secrets: SecretsManagerClient,
  arn: string,
  functionArn: string,
): Promise<string> {
  const token = randomUUID();
  await secrets.send(
    new RotateSecretCommand({
      SecretId: arn,
      ClientRequestToken: token,
      RotationLambdaARN: functionArn,
      RotationRules: { AutomaticallyAfterDays: 90 },
    }),
  );
  return token;
}

/** Labels by version. */
export async function stagesOf(secrets: SecretsManagerClient, arn: string) {
  const { VersionIdsToStages: stages = {} } = await secrets.send(
    new DescribeSecretCommand({ SecretId: arn }),
  );
  return stages;
}

/** A function that is there and does nothing. @returns its ARN */
export async function placeholderFunction(url: string): Promise<string> {
  const form = new URLSearchParams({
    Action: 'CreateRole',
    RoleName: 'function',
    AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [] }),
    Version: '2010-05-08',
  });
  await fetch(url, { method: 'POST', body: form, headers: authorization('iam') });
  const answer = await post(
    `${url}/2015-03-31/functions`,
    {
      FunctionName: 'rotate-key',
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Role: 'arn:aws:iam::123456789012:role/function',
      // An empty zip archive.
      Code: { ZipFile: Buffer.from(`PK\x05\x06${'\0'.repeat(18)}`, 'latin1').toString('base64') },
    },
    authorization('lambda'),
  );
  return (answer as { FunctionArn: string }).FunctionArn;
}

/** The emulator looks at the service that is named here, not at signatures. */
function authorization(service: string): Record<string, string> {
  return {
    authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
  };
}

async function post(url: string, body: object, headers: Record<string, string> = {}): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_PATIENCE_MS;
  while (Date.now() < deadline && child.exitCode === null) {
    try {
      await fetch(`${url}/moto-api/`);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  child.kill('SIGKILL');
  throw new Error('moto_server did not answer');
}
