import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  HeadBucketCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketOwnershipControlsCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutPublicAccessBlockCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';

/** What the caller can put right. */
export class StateBucketError extends Error {}

/** S3's rules for names, less dots: those break TLS to the bucket's own host name. */
const NAME = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;

/** How long an earlier state can be brought back. */
const KEPT_DAYS = 90;

/** @throws StateBucketError for a wrong name, or one that somebody else has */
export async function makeStateBucket(
  s3: S3Client,
  bucket: string,
  region: string,
): Promise<'made' | 'was there'> {
  if (!NAME.test(bucket)) {
    throw new StateBucketError(
      `NAME should be 3 to 63 lower-case letters, digits and hyphens, and unique in all of AWS, got '${bucket}'`,
    );
  }
  const done = await create(s3, bucket, region);
  await s3.send(
    new PutPublicAccessBlockCommand({
      Bucket: bucket,
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    }),
  );
  await s3.send(
    new PutBucketOwnershipControlsCommand({
      Bucket: bucket,
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    }),
  );
  await s3.send(
    new PutBucketEncryptionCommand({
      Bucket: bucket,
      ServerSideEncryptionConfiguration: {
        Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    }),
  );
  await s3.send(
    new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
  );
  await s3.send(
    new PutBucketLifecycleConfigurationCommand({
      Bucket: bucket,
      LifecycleConfiguration: {
        Rules: [
          {
            ID: 'tidy',
            Status: 'Enabled',
            Filter: { Prefix: '' },
            NoncurrentVersionExpiration: { NoncurrentDays: KEPT_DAYS },
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
          },
        ],
      },
    }),
  );
  await s3.send(
    new PutBucketTaggingCommand({
      Bucket: bucket,
      Tagging: { TagSet: [{ Key: 'botstack:purpose', Value: 'terraform-state' }] },
    }),
  );
  await s3.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: tlsOnly(bucket, region) }));
  return done;
}

async function create(s3: S3Client, bucket: string, region: string): Promise<'made' | 'was there'> {
  // Asked first: in us-east-1 making a bucket that one has succeeds, as if it were new.
  if (await isMine(s3, bucket)) return 'was there';
  // The oldest region has no name here.
  const place =
    region === 'us-east-1' ? undefined : { LocationConstraint: region as BucketLocationConstraint };
  await s3.send(new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration: place }));
  return 'made';
}

/** @throws StateBucketError where it is another's, or lies in another region */
async function isMine(s3: S3Client, bucket: string): Promise<boolean> {
  try {
    await s3.send(new HeadBucketCommand({ Bucket: bucket }));
    return true;
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    const { httpStatusCode: status } = error.$metadata;
    if (status === 404) return false;
    if (status === 403) {
      throw new StateBucketError(
        `a bucket ${bucket} exists in somebody else's account, or your credentials may not reach it: choose another name`,
      );
    }
    if (status === 301) {
      throw new StateBucketError(`the bucket ${bucket} is there, in another region: name it with --region`);
    }
    throw error;
  }
}

function tlsOnly(bucket: string, region: string): string {
  const arn = `arn:${partition(region)}:s3:::${bucket}`;
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'DenyWithoutTls',
        Effect: 'Deny',
        Principal: '*',
        Action: 's3:*',
        Resource: [arn, `${arn}/*`],
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
    ],
  });
}

function partition(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
