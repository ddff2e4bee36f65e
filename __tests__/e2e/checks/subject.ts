/** What the checks look at: a deployment whose guest has answered. */
import { GetObjectCommand, ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import {
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import type { Account, DeployedInstance } from '../box/account';
import type { Guest } from '../box/guest';
import type { Deployment } from '../deployment/deployment';

export interface Subject {
  deployment: Deployment;
  instance: DeployedInstance;
  guest: Guest;
  bucket: string;
  apiKey: string;
  report: BootReport;
}

/** What the bootstrap writes to S3; see cloud-init/files/bootstrap.sh. */
export interface BootReport {
  status: 'running' | 'ready' | 'failed';
  instanceId: string;
  step: string;
  message: string;
  log?: string;
  steps: { name: string; seconds: number }[];
  tlsFingerprintSha256?: string;
  /** When it was written, ISO 8601. */
  time: string;
}

function clientOptions(account: Account) {
  return {
    endpoint: account.endpointUrl,
    region: account.region,
    forcePathStyle: true,
    credentials: {
      accessKeyId: account.environment.AWS_ACCESS_KEY_ID ?? '',
      secretAccessKey: account.environment.AWS_SECRET_ACCESS_KEY ?? '',
    },
  };
}

/** One for each account: reports are asked for some times a second. */
const clients = new WeakMap<Account, S3Client>();

export function s3(account: Account): S3Client {
  const client = clients.get(account) ?? new S3Client(clientOptions(account));
  clients.set(account, client);
  return client;
}

export function secretsManager(account: Account): SecretsManagerClient {
  return new SecretsManagerClient(clientOptions(account));
}

/** The bucket of the deployment with this name. */
export async function findBucket(account: Account, name: string): Promise<string> {
  const { Buckets = [] } = await s3(account).send(new ListBucketsCommand());
  const bucket = Buckets.find((candidate) => candidate.Name?.startsWith(`${name}-artifacts-`))?.Name;
  if (!bucket) throw new Error(`no bucket of deployment ${name} in the account`);
  return bucket;
}

export async function readReport(
  account: Account,
  bucket: string,
  instanceId: string,
): Promise<BootReport | undefined> {
  try {
    const { Body } = await s3(account).send(
      new GetObjectCommand({ Bucket: bucket, Key: `reports/${instanceId}.json` }),
    );
    return JSON.parse((await Body?.transformToString()) ?? '') as BootReport;
  } catch (error) {
    if ((error as Error).name === 'NoSuchKey') return undefined;
    throw error;
  }
}

/** The API key of the deployment with this name, read as its owner. */
export async function readApiKey(account: Account, name: string): Promise<string> {
  const { SecretList = [] } = await secretsManager(account).send(new ListSecretsCommand());
  const secret = SecretList.find((candidate) => candidate.Name?.startsWith(`${name}-api-key-`));
  const { SecretString } = await secretsManager(account).send(
    new GetSecretValueCommand({ SecretId: secret?.ARN }),
  );
  if (!SecretString) throw new Error(`the secret of deployment ${name} has no value`);
  return SecretString;
}
