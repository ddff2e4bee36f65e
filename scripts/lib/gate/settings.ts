/** What the gate is told by the stack (stacks/constructs/readiness.ts), through the environment. */
import { z } from 'zod';

const text = z.string().min(1);

const schema = z.object({
  BOTSTACK_REGION: text,
  BOTSTACK_BUCKET: text,
  BOTSTACK_REPORT_KEY: text,
  BOTSTACK_SECRET_ARN: text,
  BOTSTACK_INSTANCE_ID: text,
  BOTSTACK_ADDRESS: text,
  /** Not there where the plain port is closed. */
  BOTSTACK_EXTERNAL_PORT: z.coerce.number().int().min(1).max(65535).optional(),
  BOTSTACK_CERTIFICATE_FILE: text,
  /** How long a boot may take, all in all. */
  BOTSTACK_LIMIT_SECONDS: z.coerce
    .number()
    .positive()
    .default(15 * 60),
  /** How long the machine may stay silent. It speaks first some 20 to 40 s after its start. */
  BOTSTACK_SILENCE_SECONDS: z.coerce
    .number()
    .positive()
    .default(5 * 60),
  /** How long a machine that had failed before the wait may take until its next try. */
  BOTSTACK_GRACE_SECONDS: z.coerce.number().positive().default(90),
  /**
   * For the end-to-end test only: where the machine really is. The emulator's Elastic IP is a made-up public address,
   * and nothing may ever be sent to it.
   */
  BOTSTACK_ENDPOINT_ADDRESS: text.optional(),
  AWS_ENDPOINT_URL: text.optional(),
});

export interface Settings {
  readonly region: string;
  readonly bucket: string;
  readonly reportKey: string;
  readonly secretArn: string;
  readonly instanceId: string;
  /** Where requests go. */
  readonly address: string;
  readonly httpsPort: number;
  /** undefined where there is no endpoint without TLS. */
  readonly externalPort: number | undefined;
  readonly certificateFile: string;
  readonly limitMs: number;
  readonly silenceMs: number;
  readonly graceMs: number;
  readonly pollMs: number;
  /** How long a machine that is ready may take to answer: the address may need a moment to reach it. */
  readonly patienceMs: number;
  readonly emulatorUrl: string | undefined;
}

/** A failure that is told in the words below, without a stack trace. */
export class GateError extends Error {
  override readonly name = 'GateError';
}

export function settingsFrom(env: NodeJS.ProcessEnv): Settings {
  // An empty variable is as good as none.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const names = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
    throw new GateError(
      `wait-ready is run by Terraform, which sets its environment; missing or wrong: ${names}`,
    );
  }
  const { data } = parsed;
  return {
    region: data.BOTSTACK_REGION,
    bucket: data.BOTSTACK_BUCKET,
    reportKey: data.BOTSTACK_REPORT_KEY,
    secretArn: data.BOTSTACK_SECRET_ARN,
    instanceId: data.BOTSTACK_INSTANCE_ID,
    address: data.BOTSTACK_ENDPOINT_ADDRESS ?? data.BOTSTACK_ADDRESS,
    httpsPort: 443,
    externalPort: data.BOTSTACK_EXTERNAL_PORT,
    certificateFile: data.BOTSTACK_CERTIFICATE_FILE,
    limitMs: data.BOTSTACK_LIMIT_SECONDS * 1000,
    silenceMs: data.BOTSTACK_SILENCE_SECONDS * 1000,
    graceMs: data.BOTSTACK_GRACE_SECONDS * 1000,
    pollMs: 2000,
    patienceMs: 60_000,
    emulatorUrl: data.AWS_ENDPOINT_URL,
  };
}

/** @throws GateError where the address is an emulator's invention, which belongs to somebody else. */
export function refuseMadeUpAddress(env: NodeJS.ProcessEnv): void {
  if (env['AWS_ENDPOINT_URL'] && !env['BOTSTACK_ENDPOINT_ADDRESS']) {
    throw new GateError(
      `AWS_ENDPOINT_URL is set (${env['AWS_ENDPOINT_URL']}), so ${env['BOTSTACK_ADDRESS']} is not this deployment's address ` +
        `but made up by an emulator. Nothing was sent there. Unset AWS_ENDPOINT_URL to deploy to AWS, or set ` +
        `BOTSTACK_ENDPOINT_ADDRESS to where the machine is`,
    );
  }
}
