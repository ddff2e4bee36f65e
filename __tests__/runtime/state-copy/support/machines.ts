/** Machines that share a bucket: signed requests to an emulator of S3, and a folder for the disk of each. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';

import { REGISTER_FILE } from '../../../../runtime/src/access/register-file';
import { POLICY_FILE } from '../../../../runtime/src/policy/store';
import { S3Object } from '../../../../runtime/src/state-copy/s3-object';
import { type Emulator, hasEmulator, startEmulator } from '../../../functions/emulator';
import { temporaryFolder } from '../../../support/temporary-folder';

export const BUCKET = 'bot-artifacts';

/** `describe` where there is an emulator; elsewhere the tests are skipped and the reason stands in their name. */
export const describeWithEmulator: (name: string, tests: () => void) => void = hasEmulator
  ? describe
  : (name, tests) => describe.skip(`${name} (skipped: no moto_server; pip install "moto[server]")`, tests);

type Environment = Record<string, string | undefined>;

/** Where S3 cannot be reached. A function: the environment is that of the emulator once it runs. */
export const unreachable = (): Environment => ({
  ...process.env,
  AWS_ENDPOINT_URL: 'http://127.0.0.2:50001',
});

export interface Machines {
  /** Of this test's objects in the bucket. */
  prefix: string;
  /** What all machines have logged, with the level before it. */
  logged: string[];
  log(level: string, text: string): void;
  /** A folder that holds the machines' disks, and the disk of one. */
  folder(): string;
  machine(name: string): string;
  /** The copy of a file, as a machine with this environment has it. */
  object(file: string, env?: Environment): S3Object;
  put(file: string, content: string | Buffer): Promise<unknown>;
  kept(file: string): Promise<Buffer>;
  /** What is noted beside an object. */
  notes(file: string): Promise<Record<string, string> | undefined>;
  /** Closes it after the test. */
  open<Closable extends { close(): void }>(closable: Closable): Closable;
}

/** Call inside a `describeWithEmulator`. Each test begins with the empty objects that a deploy makes. */
export function useMachines(): Machines {
  const folder = temporaryFolder();
  const open: { close(): void }[] = [];
  let emulator: Emulator;
  let s3: S3Client;

  beforeAll(async () => {
    emulator = await startEmulator();
    s3 = new S3Client({ forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  }, 180_000);
  afterAll(async () => {
    s3.destroy();
    await emulator.stop();
  });
  beforeEach(async () => {
    machines.logged = [];
    machines.prefix = `state-${Math.random().toString(36).slice(2)}`;
    for (const file of [REGISTER_FILE, POLICY_FILE]) await machines.put(file, Buffer.alloc(0));
  });
  afterEach(() => open.splice(0).forEach((each) => each.close()));

  const place = (file: string) => ({ Bucket: BUCKET, Key: `${machines.prefix}/${file}` });
  const machines: Machines = {
    prefix: '',
    logged: [],
    log: (level, text) => void machines.logged.push(`${level} ${text}`),
    folder,
    machine: (name) => {
      const path = join(folder(), name);
      mkdirSync(path, { recursive: true });
      return path;
    },
    object: (file, env = process.env) =>
      new S3Object({ bucket: BUCKET, key: place(file).Key, region: 'us-east-1' }, env),
    put: (file, Body) => s3.send(new PutObjectCommand({ ...place(file), Body })),
    kept: async (file) => {
      const { Body } = await s3.send(new GetObjectCommand(place(file)));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    notes: async (file) => (await s3.send(new HeadObjectCommand(place(file)))).Metadata,
    open: (closable) => {
      open.push(closable);
      return closable;
    },
  };
  return machines;
}
