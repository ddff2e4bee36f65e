/**
 * Makes the bucket for Terraform's state: versioned, encrypted, private, reached over TLS only. Run on a bucket that is
 * there, it puts these settings right and leaves the content alone.
 *
 *   npm run state-bucket -- NAME [--region REGION]
 */
import { parseArgs } from 'node:util';

import { S3Client } from '@aws-sdk/client-s3';

import { makeStateBucket, StateBucketError } from './lib/state-bucket';

const USAGE = `usage: npm run state-bucket -- NAME [--region REGION]

Makes a bucket for Terraform's state. Then, in stacks/main.ts: state: { bucket: 'NAME', region: 'REGION' }
  --region   by default AWS_REGION, or us-east-1
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { region: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const [bucket, ...rest] = positionals;
  if (bucket === undefined || rest.length > 0) throw new StateBucketError(USAGE);
  const region = values.region ?? process.env['AWS_REGION'] ?? 'us-east-1';
  // A notice about Node's age helps nobody here.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const s3 = new S3Client({ region });
  const done = await makeStateBucket(s3, bucket, region);
  process.stdout.write(
    `bucket ${bucket} in ${region} ${done}: versioned, encrypted, private, TLS only\n` +
      `in stacks/main.ts: state: { bucket: '${bucket}', region: '${region}' }\n`,
  );
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof StateBucketError ? 2 : 1;
});
