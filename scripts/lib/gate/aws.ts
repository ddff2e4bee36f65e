/** The two things the gate reads from AWS, with the credentials of the person who deploys. */
import { GetObjectCommand, NoSuchKey, S3Client } from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { z } from 'zod';

import { GateError, type Settings } from './settings';

/** What bootstrap.sh writes to the bucket after each of its steps. */
export const reportSchema = z.object({
  schema: z.literal(1),
  status: z.enum(['running', 'ready', 'failed']),
  instanceId: z.string(),
  /** The step that is under way, or failed. */
  step: z.string(),
  /** On failure one line: cause and remedy. */
  message: z.string(),
  /** On failure the end of the bootstrap's log. */
  log: z.string().optional(),
  steps: z.array(z.object({ name: z.string(), seconds: z.number() })),
  /** SHA-256 of the certificate on port 443, as `AA:BB:…`; empty until it is made. */
  tlsFingerprintSha256: z.string().optional(),
  /** When the report was written, ISO 8601. */
  time: z.string(),
});

export type Report = z.infer<typeof reportSchema>;

export interface Cloud {
  /** undefined until the machine has written one. */
  report(signal?: AbortSignal): Promise<Report | undefined>;
  apiKey(signal?: AbortSignal): Promise<string>;
}

export function connectCloud(settings: Settings): Cloud {
  const { region, bucket, reportKey, secretArn } = settings;
  // An emulator's buckets have no host names of their own.
  const s3 = new S3Client({ region, forcePathStyle: settings.emulatorUrl !== undefined });
  const secrets = new SecretsManagerClient({ region });

  return {
    async report(abortSignal) {
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: reportKey }), {
          abortSignal,
        });
        const body = (await Body?.transformToString()) ?? '';
        return reportSchema.parse(JSON.parse(body));
      } catch (error) {
        if (error instanceof NoSuchKey) {
          return undefined;
        }
        throw explain(
          error,
          `s3:GetObject on arn:aws:s3:::${bucket}/${reportKey} and s3:ListBucket on its bucket`,
        );
      }
    },
    async apiKey(abortSignal) {
      try {
        const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: secretArn }), {
          abortSignal,
        });
        return SecretString ?? '';
      } catch (error) {
        throw explain(error, `secretsmanager:GetSecretValue on ${secretArn}`);
      }
    },
  };
}

const CREDENTIAL_ERRORS =
  /credential|ExpiredToken|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch/i;
const DENIED_ERRORS = /AccessDenied|Forbidden|UnauthorizedOperation|NotAuthorized/i;

/** What a person has to do about a failed request to AWS. */
export function explain(error: unknown, permission: string): unknown {
  if (!(error instanceof Error) || error.name === 'AbortError') {
    return error;
  }
  const words = `${error.name} ${error.message}`;
  if (DENIED_ERRORS.test(words)) {
    return new GateError(`AWS refuses: the credentials you deploy with need ${permission}`);
  }
  if (CREDENTIAL_ERRORS.test(words)) {
    return new GateError(
      `AWS credentials are missing or no longer valid (${error.message}): sign in again ` +
        `(aws sso login, or AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), then run cdktf deploy again: it goes on from here`,
    );
  }
  if (error.name === 'NoSuchBucket' || error.name === 'ResourceNotFoundException') {
    return new GateError(
      `AWS does not know it (${error.message}): was it deleted by hand? It takes ${permission}`,
    );
  }
  return error;
}
