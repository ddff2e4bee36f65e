/** Where the API key comes from: the configuration file, or AWS Secrets Manager. */
import { MIN_API_KEY_LENGTH, type BotConfig } from '../config/schema.js';
import type { Environment } from '../config/environment.js';
import { counted } from '../errors/counted.js';
import type { KeySource } from './api-keys.js';

/** The key in Secrets Manager cannot be used; the message says which secret, why and what to do. */
export class SecretError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SecretError';
  }
}

/** How often the key in Secrets Manager is read again: the longest that a rotation goes unnoticed. */
export const SECRET_REFRESH_MS = 5 * 60_000;

export function keySource(
  config: BotConfig,
  env: Environment,
): { readonly source: KeySource; readonly refreshIntervalMs: number } {
  const secretId = config.security.api_key_secret_id;
  if (secretId !== undefined) {
    const region = config.security.region ?? env['AWS_REGION'] ?? regionOfArn(secretId);
    return { source: () => readSecret(secretId, region), refreshIntervalMs: SECRET_REFRESH_MS };
  }
  const literal = config.security.api_key ?? config.api_key;
  // The schema makes sure that exactly one of the three is set.
  return { source: async () => (literal === undefined ? [] : [literal]), refreshIntervalMs: 0 };
}

async function readSecret(secretId: string, region: string | undefined): Promise<readonly string[]> {
  if (region === undefined) {
    throw new SecretError(
      `no region for the secret ${secretId}: set security.region or AWS_REGION, or give the secret's whole ARN`,
    );
  }
  // Loaded only where it is used: the SDK takes some 20 MB of memory.
  const { GetSecretValueCommand, ResourceNotFoundException, SecretsManagerClient } =
    await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({
    region,
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 3000, requestTimeout: 5000 },
  });

  const read = async (stage: 'AWSCURRENT' | 'AWSPREVIOUS'): Promise<string> => {
    const answer = await client.send(new GetSecretValueCommand({ SecretId: secretId, VersionStage: stage }));
    const key = answer.SecretString?.trim() ?? '';
    if (key.length < MIN_API_KEY_LENGTH) {
      throw new SecretError(
        `the secret ${secretId} (${stage}) holds ${counted(key.length, 'character')}; ` +
          `put a key of at least ${MIN_API_KEY_LENGTH} in it, as plain text`,
      );
    }
    return key;
  };

  try {
    const current = await read('AWSCURRENT');
    try {
      const previous = await read('AWSPREVIOUS');
      return previous === current ? [current] : [current, previous];
    } catch (error) {
      // Before the first rotation there is no previous version, and an unusable one is of no interest.
      if (error instanceof ResourceNotFoundException || error instanceof SecretError) return [current];
      throw error;
    }
  } catch (error) {
    throw error instanceof SecretError ? error : unreadable(secretId, region, error as Error);
  } finally {
    client.destroy();
  }
}

const REMEDIES: Record<string, string> = {
  AccessDeniedException:
    "the machine's role lacks secretsmanager:GetSecretValue on it (or kms:Decrypt on its key)",
  ResourceNotFoundException: 'there is no such secret in this region, or it is scheduled for deletion',
  CredentialsProviderError:
    'no AWS credentials: on EC2, attach the instance role; elsewhere, set AWS_PROFILE',
  InvalidRequestException: 'the secret is being deleted; restore it or name another',
  ExpiredTokenException: 'the AWS credentials have expired; renew them',
  UnrecognizedClientException: 'the AWS credentials are not valid; renew them',
  TimeoutError: 'Secrets Manager does not answer; check the route to the internet and the outbound rules',
};

function unreadable(secretId: string, region: string, error: Error): SecretError {
  const remedy = REMEDIES[error.name] ?? 'check the secret, the role and the network';
  return new SecretError(
    `cannot read the secret ${secretId} in ${region}: ${error.name}: ${error.message}. What to do: ${remedy}`,
  );
}

/** `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME` */
function regionOfArn(secretId: string): string | undefined {
  const [arn, , , region] = secretId.split(':');
  return arn === 'arn' && region !== undefined && region !== '' ? region : undefined;
}
