import { S3Bucket } from '@cdktf/provider-aws/lib/s3-bucket';
import { S3BucketLifecycleConfiguration } from '@cdktf/provider-aws/lib/s3-bucket-lifecycle-configuration';
import { S3BucketOwnershipControls } from '@cdktf/provider-aws/lib/s3-bucket-ownership-controls';
import { S3BucketPolicy } from '@cdktf/provider-aws/lib/s3-bucket-policy';
import { S3BucketPublicAccessBlock } from '@cdktf/provider-aws/lib/s3-bucket-public-access-block';
import { S3BucketServerSideEncryptionConfigurationA } from '@cdktf/provider-aws/lib/s3-bucket-server-side-encryption-configuration';
import { S3BucketVersioningA } from '@cdktf/provider-aws/lib/s3-bucket-versioning';
import { S3Object } from '@cdktf/provider-aws/lib/s3-object';
import type { ITerraformDependable } from 'cdktf';
import { Construct, type IConstruct } from 'constructs';

import type { PackedFiles } from '../../cloud-init/machine-files';
import type { FunctionCode } from '../function-code';

/** A file on the deploying machine whose content is known by its hash. */
export interface LocalFile {
  /** Absolute. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface ArtifactsProps {
  readonly name: string;
  readonly bundle: LocalFile;
  readonly model: LocalFile;
  /** What the machine needs beside its user-data: an archive of text files, a few KiB. */
  readonly machineFiles: PackedFiles;
  /** Lambda functions by name. @default none */
  readonly functions?: Readonly<Record<string, FunctionCode>>;
}

/** A stored file that one role may read. */
export interface StoredFile {
  readonly key: string;
  readonly arn: string;
  readonly sha256: string;
  /** Whoever reads it waits for this. */
  readonly uploaded: S3Object;
}

/** The machine's files lie here, named by the archive's hash. */
export const FILES_PREFIX = 'files/';

/** Where the machine keeps account and certificate of a domain for the machine after it. */
export function certificateKey(domain: string): string {
  return `tls/${domain}.tar.gz`;
}

/** What the machine knows and the next one must know, too: see runtime/src/state-copy. The machine writes it. */
export const STATE_PREFIX = 'state/';
export const TOKEN_REGISTER_KEY = `${STATE_PREFIX}tokens.sealed`;
export const STATE_KEYS = [TOKEN_REGISTER_KEY, `${STATE_PREFIX}policy.yaml`];

/** Code of Lambda functions. */
const FUNCTIONS_PREFIX = 'functions/';

/** Reports of the bootstrap lie here, one object for each instance. */
export const REPORT_PREFIX = 'reports/';

/** How long a replaced or deleted object can be brought back; its storage is paid for that long. */
const KEPT_DAYS = 30;

/**
 * The private bucket of the deployment: the runtime's bundle and the model and the machine's
 * files, named by their hashes, the reports of the bootstrap, and what outlives a machine. About 0.023 USD a month for each GB.
 */
export class Artifacts extends Construct {
  readonly bucket: S3Bucket;
  readonly bucketName: string;
  readonly bucketArn: string;
  readonly bundle: StoredFile;
  readonly model: StoredFile;
  readonly machineFiles: StoredFile;
  /** Objects that the machine reads and writes. */
  readonly stateArns: readonly string[];
  /** What the machine waits for. Not for all that is here: the provider takes a minute over the bucket's lifecycle. */
  readonly neededByMachine: readonly IConstruct[];
  readonly #functions = new Map<string, StoredFile>();

  constructor(scope: Construct, id: string, props: ArtifactsProps) {
    super(scope, id);
    const { name, bundle, model, machineFiles, functions = {} } = props;

    const bucket = new S3Bucket(this, 'bucket', {
      bucketPrefix: `${name}-artifacts-`,
      // Destroy must leave nothing on the bill, and what lies here is of use to this deployment alone.
      forceDestroy: true,
      tags: { Name: `${name}-artifacts` },
    });
    this.bucket = bucket;
    this.bucketName = bucket.bucket;
    this.bucketArn = bucket.arn;

    // An object made before versioning is on has no version, and is not deleted with the versions.
    const ready = this.secure(bucket);
    this.bundle = this.store('bundle', bucket, `bundles/${bundle.sha256}.tar.gz`, bundle, ready);
    this.model = this.store('model', bucket, `models/${model.sha256}.gguf`, model, ready);
    const state = STATE_KEYS.map((key) => this.keep(key, bucket, ready));
    this.stateArns = STATE_KEYS.map((key) => `${bucket.arn}/${key}`);
    const filesKey = `${FILES_PREFIX}${machineFiles.sha256}.zip`;
    this.machineFiles = this.storeBytes('files', bucket, filesKey, machineFiles, ready);
    this.neededByMachine = [this.bundle.uploaded, this.model.uploaded, this.machineFiles.uploaded, ...state];
    for (const [functionName, code] of Object.entries(functions)) {
      const key = `${FUNCTIONS_PREFIX}${code.sha256}.zip`;
      this.#functions.set(
        functionName,
        this.storeBytes(`function-${functionName}`, bucket, key, code, ready),
      );
    }
  }

  /** Where a function's code lies. */
  function(name: string): StoredFile {
    const code = this.#functions.get(name);
    if (code === undefined) throw new Error(`no code was given for the function ${name}`);
    return code;
  }

  private secure(bucket: S3Bucket): ITerraformDependable[] {
    const ownership = new S3BucketOwnershipControls(this, 'ownership', {
      bucket: bucket.id,
      rule: { objectOwnership: 'BucketOwnerEnforced' },
    });
    const encryption = new S3BucketServerSideEncryptionConfigurationA(this, 'encryption', {
      bucket: bucket.id,
      rule: [{ applyServerSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }],
    });
    const versioning = new S3BucketVersioningA(this, 'versioning', {
      bucket: bucket.id,
      versioningConfiguration: { status: 'Enabled' },
    });
    // What destroy would take with it anyway, but a deployment may stand for years.
    new S3BucketLifecycleConfiguration(this, 'tidy', {
      bucket: bucket.id,
      rule: [
        {
          id: 'tidy',
          status: 'Enabled',
          filter: [{ prefix: '' }],
          abortIncompleteMultipartUpload: [{ daysAfterInitiation: 1 }],
          noncurrentVersionExpiration: [{ noncurrentDays: KEPT_DAYS }],
        },
      ],
      dependsOn: [versioning],
    });
    const block = new S3BucketPublicAccessBlock(this, 'private', {
      bucket: bucket.id,
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    });
    const policy = new S3BucketPolicy(this, 'tls-only', {
      bucket: bucket.id,
      policy: JSON.stringify({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'DenyWithoutTls',
            Effect: 'Deny',
            Principal: '*',
            Action: 's3:*',
            Resource: [bucket.arn, `${bucket.arn}/*`],
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          },
        ],
      }),
      dependsOn: [block],
    });
    return [ownership, encryption, versioning, policy];
  }

  private store(
    id: string,
    bucket: S3Bucket,
    key: string,
    file: LocalFile,
    dependsOn: ITerraformDependable[],
  ): StoredFile {
    const uploaded = new S3Object(this, id, {
      bucket: bucket.id,
      key,
      source: file.path,
      // Checked by S3 on arrival, part by part; a large file goes up in parts by itself.
      checksumAlgorithm: 'SHA256',
      dependsOn,
      lifecycle: {
        createBeforeDestroy: true,
        // The key says what the content is; where it lies on the deploying machine is nobody else's matter.
        ignoreChanges: ['source'],
      },
    });
    return { key, arn: `${bucket.arn}/${key}`, sha256: file.sha256, uploaded };
  }

  /**
   * Empty, for the machine to fill. It is there from the beginning, so that one that is missing is never taken for one
   * that was never written: a machine that believed so would take revoked tokens.
   */
  private keep(key: string, bucket: S3Bucket, dependsOn: ITerraformDependable[]): S3Object {
    return new S3Object(this, key.replaceAll(/[/.]/g, '-'), {
      bucket: bucket.id,
      key,
      content: '',
      dependsOn,
      lifecycle: { ignoreChanges: 'all' },
    });
  }

  /** Straight from the plan: no file on the deploying machine has to be there for it. */
  private storeBytes(
    id: string,
    bucket: S3Bucket,
    key: string,
    { bytes, sha256 }: PackedFiles,
    dependsOn: ITerraformDependable[],
  ): StoredFile {
    const uploaded = new S3Object(this, id, {
      bucket: bucket.id,
      key,
      contentBase64: Buffer.from(bytes).toString('base64'),
      checksumAlgorithm: 'SHA256',
      dependsOn,
      lifecycle: { createBeforeDestroy: true },
    });
    return { key, arn: `${bucket.arn}/${key}`, sha256, uploaded };
  }
}
