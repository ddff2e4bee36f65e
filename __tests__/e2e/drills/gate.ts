/** The first half of `cdktf deploy`'s wait, as Terraform runs it, for a machine of a drill. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { lastLines, waitFor } from '../box/commands';
import { identify, signalGroup } from '../box/process-identity';
import { keyIn } from '../checks/secrets';
import type { BootReport, Subject } from '../checks/subject';

const ROOT = resolve(__dirname, '..', '..', '..');

/** At the longest: it ends by itself before. */
const TIMEOUT_MS = 900_000;

/** What the readiness gate has said. */
export interface Verdict {
  status: number;
  output: string;
  /** When it ended, milliseconds since the epoch. */
  endedAt: number;
}

export interface Gate {
  /** When it has ended. */
  readonly verdict: Promise<Verdict>;
}

export interface Watched {
  readonly instanceId: string;
  readonly ip: string;
  readonly plainPort: number;
}

/** Returns once it waits, so that a failure which comes then is none from before: that one it would not believe at once. */
export async function openGate(subject: Subject, { instanceId, ip, plainPort }: Watched): Promise<Gate> {
  const { deployment, bucket, instance } = subject;
  const { account } = deployment.box;
  const secret = /arn:aws:secretsmanager:[\w:-]+/.exec(
    Buffer.from(instance.userData, 'base64').toString(),
  )?.[0];
  const child = spawn(
    process.execPath,
    [require.resolve('tsx/cli'), join(ROOT, 'scripts', 'wait-ready.ts'), '--stage', 'boot'],
    {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...account.environment,
        BOTSTACK_REGION: account.region,
        BOTSTACK_BUCKET: bucket,
        BOTSTACK_REPORT_KEY: `${keyIn(instance.userData, 'REPORT_PREFIX')}${instanceId}.json`,
        BOTSTACK_SECRET_ARN: secret,
        BOTSTACK_INSTANCE_ID: instanceId,
        BOTSTACK_ADDRESS: ip,
        BOTSTACK_ENDPOINT_ADDRESS: ip,
        BOTSTACK_EXTERNAL_PORT: String(plainPort),
        BOTSTACK_CERTIFICATE_FILE: '/dev/null',
        AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      },
    },
  );
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity) {
    const { undo } = deployment.box.folder;
    undo.add({ kind: 'process', process: identity, name: 'readiness gate', graceMs: 0 });
  }
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const timer = setTimeout(() => identity && signalGroup(identity, 'SIGKILL'), TIMEOUT_MS);
  const verdict = new Promise<Verdict>((done) =>
    child.once('close', (code) => {
      clearTimeout(timer);
      done({ status: code ?? 1, output, endedAt: Date.now() });
    }),
  );
  await waitFor('the readiness gate to wait', () => (output === '' ? undefined : true), {
    timeoutMs: 120_000,
  });
  return { verdict };
}

/** A gate that ended with the machine's own words. */
export function passesOn({ status, output }: Verdict, { step, message }: BootReport): void {
  assert.equal(status, 1, lastLines(output, 30));
  assert.ok(
    output.includes(`failed in step ${step}`) && output.includes(message),
    `the gate does not say "${message}":\n${lastLines(output, 60)}`,
  );
}
