/**
 * Replaces the API key: the function that Secrets Manager calls, four times for each rotation and again for what failed.
 * So every step looks first at how far it got, and does only what is missing.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
 *
 * There is no step at which a client that holds the key before is refused: the service takes AWSCURRENT and AWSPREVIOUS,
 * and reads both again every five minutes, and at once when somebody comes with a key that it does not know.
 */
import { randomInt } from 'node:crypto';

import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  ResourceNotFoundException,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';

export interface RotationEvent {
  /** ARN of the secret. */
  readonly SecretId: string;
  /** Id of the version that becomes the key. */
  readonly ClientRequestToken: string;
  readonly Step: string;
}

const CURRENT = 'AWSCURRENT';
const PENDING = 'AWSPENDING';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** 285 bits, as in stacks/constructs/api-key.ts. */
const RANDOM_LENGTH = 48;
const KEY = /^sk-[A-Za-z0-9]{48}$/;

type Step = (client: SecretsManagerClient, event: RotationEvent, stages: readonly string[]) => Promise<void>;

const STEPS: Readonly<Record<string, Step>> = {
  createSecret,
  // Nobody else keeps the key: the service reads it from the secret.
  setSecret: () => Promise.resolve(),
  testSecret,
  finishSecret,
};

// One client for the life of the function's process.
const client = new SecretsManagerClient({});

/** @throws Error that says what does not fit; Secrets Manager then tries again, and the function's alarm goes off. */
export async function handler(event: RotationEvent): Promise<void> {
  const step = STEPS[event.Step];
  if (step === undefined) throw new Error(`Step should be one of ${Object.keys(STEPS).join(', ')}`);
  const secret = await client.send(new DescribeSecretCommand({ SecretId: event.SecretId }));
  if (secret.RotationEnabled !== true) throw new Error('rotation is not switched on for this secret');
  const stages = secret.VersionIdsToStages?.[event.ClientRequestToken];
  if (stages === undefined) throw new Error('the secret has no version with the id of this rotation');
  if (stages.includes(CURRENT) && event.Step !== 'finishSecret') return;
  if (!stages.includes(PENDING) && !stages.includes(CURRENT)) {
    throw new Error(
      'the version of this rotation is neither pending nor current: another rotation has replaced it',
    );
  }
  await step(client, event, stages);
}

async function createSecret(secrets: SecretsManagerClient, event: RotationEvent): Promise<void> {
  if ((await pendingValue(secrets, event)) !== undefined) return;
  try {
    await secrets.send(
      new PutSecretValueCommand({
        SecretId: event.SecretId,
        ClientRequestToken: event.ClientRequestToken,
        SecretString: newKey(),
        VersionStages: [PENDING],
      }),
    );
  } catch (error) {
    // A second call of this step was faster; its key is as good.
    if (!(error instanceof ResourceExistsException)) throw error;
  }
}

/**
 * What the service would refuse must not become the key. Secrets Manager also calls this step alone, when rotation is
 * switched on, to see whether the function can be called: then there may be nothing to look at.
 */
async function testSecret(secrets: SecretsManagerClient, event: RotationEvent): Promise<void> {
  const value = await pendingValue(secrets, event);
  if (value !== undefined) expectKey(value);
}

function expectKey(value: string | undefined): void {
  if (value === undefined || !KEY.test(value)) throw new Error('the pending version holds no API key');
}

async function finishSecret(
  secrets: SecretsManagerClient,
  event: RotationEvent,
  stages: readonly string[],
): Promise<void> {
  const { SecretId, ClientRequestToken } = event;
  if (!stages.includes(CURRENT)) {
    expectKey(await pendingValue(secrets, event));
    // Asked again, because it may have changed since the step before.
    const { VersionIdsToStages: versions = {} } = await secrets.send(new DescribeSecretCommand({ SecretId }));
    const current = Object.keys(versions).find((version) => versions[version]?.includes(CURRENT));
    await secrets.send(
      new UpdateSecretVersionStageCommand({
        SecretId,
        VersionStage: CURRENT,
        MoveToVersionId: ClientRequestToken,
        RemoveFromVersionId: current,
      }),
    );
  }
  // A label that stays would make the next rotation believe that this one is still under way.
  if (stages.includes(PENDING)) {
    await secrets.send(
      new UpdateSecretVersionStageCommand({
        SecretId,
        VersionStage: PENDING,
        RemoveFromVersionId: ClientRequestToken,
      }),
    );
  }
}

/** undefined where the version has a label, and no value yet. */
async function pendingValue(
  secrets: SecretsManagerClient,
  { SecretId, ClientRequestToken }: RotationEvent,
): Promise<string | undefined> {
  try {
    const { SecretString } = await secrets.send(
      new GetSecretValueCommand({ SecretId, VersionId: ClientRequestToken, VersionStage: PENDING }),
    );
    return SecretString;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

function newKey(): string {
  const characters = Array.from({ length: RANDOM_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]);
  return `sk-${characters.join('')}`;
}
