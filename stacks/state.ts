/** Where Terraform keeps its state: a file beside the project, or an object in a bucket that a team shares. */
import { relative, resolve } from 'node:path';

import { HeadBucketCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { LocalBackend, S3Backend, type TerraformStack } from 'cdktf';

import { ProblemsError } from './problems';
import type { ResolvedProps, StateBucket } from './props';

/** Object key of a deployment's state. */
export function stateKey(name: string): string {
  return `botstack/${name}/terraform.tfstate`;
}

/**
 * @param folder where the stack is synthesised to
 * @param file of the local state
 */
export function keepState(
  stack: TerraformStack,
  { state, name, region }: ResolvedProps,
  folder: string,
  file: string,
): void {
  if (state === undefined) {
    // cdktf's own default is an absolute path, which ties the synthesised files to this machine.
    new LocalBackend(stack, { path: relative(resolve(folder), resolve(file)) });
    return;
  }
  new S3Backend(stack, {
    bucket: state.bucket,
    key: stateKey(name),
    region: state.region ?? region,
    encrypt: true,
  });
  // Terraform's own lock, an object beside the state; cdktf 0.21 has no type for it.
  stack.addOverride('terraform.backend.s3.use_lockfile', true);
}

/**
 * Looks for the bucket before Terraform does, whose message names no remedy. What only Terraform can judge (no
 * credentials, no network) is left to it.
 *
 * @throws ProblemsError where the bucket is not there, or somebody else's
 */
export async function checkStateBucket(
  state: StateBucket | undefined,
  homeRegion: string,
  client?: S3Client,
): Promise<void> {
  if (state === undefined) return;
  const region = state.region ?? homeRegion;
  const s3 = client ?? new S3Client({ region, maxAttempts: 2 });
  try {
    await s3.send(new HeadBucketCommand({ Bucket: state.bucket }));
  } catch (error) {
    const problem =
      error instanceof S3ServiceException ? bucketProblem(error, state.bucket, region) : undefined;
    if (problem !== undefined) throw new ProblemsError([problem]);
  } finally {
    s3.destroy();
  }
}

function bucketProblem(error: S3ServiceException, bucket: string, region: string): string | undefined {
  const { httpStatusCode: status } = error.$metadata;
  if (status === 404) {
    return `state.bucket ${bucket} does not exist: make it with npm run state-bucket -- ${bucket} --region ${region}`;
  }
  if (status === 403) {
    return `state.bucket ${bucket} cannot be reached: it belongs to another account, or your credentials may not read it`;
  }
  if (status === 301) {
    const actual = error.$response?.headers['x-amz-bucket-region'] ?? 'its own';
    return `state.bucket ${bucket} lies in another region than ${region}: set state.region to ${actual}`;
  }
  return undefined;
}
