/** A machine of a drill's own, booted from what was deployed, in an AWS of its own that can fail. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { DeployedInstance } from '../box/account';
import { AwsFront, type Fault } from '../box/aws-front';
import type { BootOptions } from '../box/box';
import { lastLines, waitFor } from '../box/commands';
import type { Guest } from '../box/guest';
import { identify, signalGroup } from '../box/process-identity';
import { keyIn } from '../checks/secrets';
import { type BootReport, readReport, type Subject } from '../checks/subject';
import { says } from './drill';

const ROOT = resolve(__dirname, '..', '..', '..');
const PLAIN_PORT = 18789;

/** From a guest's first process to a report that is final, at the longest: with other drills beside it. */
const OUTCOME_TIMEOUT_MS = 300_000;

/** What the readiness gate has said. */
export interface Verdict {
  status: number;
  output: string;
  /** When it ended, milliseconds since the epoch. */
  endedAt: number;
}

export interface DrillOptions extends Pick<BootOptions, 'files' | 'diskMiB'> {
  /** A text of the user-data and what stands in its place. */
  replace?: [string, string];
  /** What the network swallows from the start. */
  cutOff?: readonly string[];
  /** What is wrong with AWS from the start. */
  fault?: Fault;
}

let booted = 0;

export class DrillMachine {
  /** The time of the last report that was looked at. */
  #seen = '';

  private constructor(
    readonly subject: Subject,
    readonly instance: DeployedInstance,
    readonly guest: Guest,
    readonly front: AwsFront,
  ) {}

  static async boot(subject: Subject, name: string, options: DrillOptions = {}): Promise<DrillMachine> {
    const { box } = subject.deployment;
    const { replace, cutOff = [], fault = {}, ...rest } = options;
    const text = Buffer.from(subject.instance.userData, 'base64').toString('utf8');
    if (replace) assert.ok(text.includes(replace[0]), `the user-data does not hold ${replace[0]}`);
    const instance: DeployedInstance = {
      ...subject.instance,
      instanceId: `i-0d0d0d0d0d0d0d0${(booted++).toString(16).padStart(2, '0')}`,
      userData: Buffer.from(replace ? text.replaceAll(...replace) : text).toString('base64'),
    };
    const front = await AwsFront.open(box.network, box.account.endpointUrl);
    front.fault = fault;
    const addresses = box.reserveAddresses();
    await box.network.cutOff(addresses.ip, cutOff);
    const guest = await box.boot(instance, {
      name: `drill-${name}`,
      addresses,
      awsUrl: front.url,
      ...rest,
    });
    return new DrillMachine(subject, instance, guest, front);
  }

  async report(): Promise<BootReport | undefined> {
    return readReport(this.subject.deployment.box.account, this.subject.bucket, this.instance.instanceId);
  }

  /** The next report that says how a run of the bootstrap has ended. */
  async outcome(): Promise<BootReport> {
    const report = await waitFor(
      `a final report of drill machine ${this.instance.instanceId}`,
      async () => {
        const found = await this.report();
        return found && found.status !== 'running' && found.time !== this.#seen ? found : undefined;
      },
      { timeoutMs: OUTCOME_TIMEOUT_MS, intervalMs: 250 },
    );
    this.#seen = report.time;
    return report;
  }

  /** The next outcome, which has to be a failure that says why: in S3, on the console, and while the unit tries again. */
  async failure(step: string | RegExp, ...patterns: RegExp[]): Promise<BootReport> {
    const report = await this.outcome();
    assert.equal(report.status, 'failed', `it was expected to fail: ${report.message}`);
    says(report.message, ...patterns);
    assert.match(report.step, typeof step === 'string' ? new RegExp(`^${step}$`) : step, report.message);
    assert.ok((report.log ?? '').split('\n').length > 3, 'the report does not carry the end of the log');
    const said = `step ${report.step} failed: ${report.message}`;
    assert.ok(this.console().includes(said), `the console does not say: ${said}`);
    const { stdout } = await this.guest.exec(['systemctl', 'is-enabled', 'bot-bootstrap.service']);
    assert.equal(stdout.trim(), 'enabled');
    return report;
  }

  /** Does not wait for the unit to try again by itself. */
  async tryAgain(): Promise<void> {
    // Not `start`: that would wait for the half minute, too.
    await this.guest.exec(['systemctl', 'restart', 'bot-bootstrap.service'], {
      allowFailure: true,
      timeoutMs: OUTCOME_TIMEOUT_MS,
    });
  }

  /** What it has printed where EC2 keeps it for `aws ec2 get-console-output`. */
  console(): string {
    return readFileSync(this.guest.consoleLog, 'utf8');
  }

  /** The first half of `cdktf deploy`'s wait, as Terraform runs it, for this machine. */
  async gate(): Promise<Verdict> {
    const { deployment, bucket, instance } = this.subject;
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
          BOTSTACK_REPORT_KEY: `${keyIn(instance.userData, 'REPORT_PREFIX')}${this.instance.instanceId}.json`,
          BOTSTACK_SECRET_ARN: secret,
          BOTSTACK_INSTANCE_ID: this.instance.instanceId,
          BOTSTACK_ADDRESS: this.guest.ip,
          BOTSTACK_ENDPOINT_ADDRESS: this.guest.ip,
          BOTSTACK_EXTERNAL_PORT: String(PLAIN_PORT),
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
    const timer = setTimeout(() => identity && signalGroup(identity, 'SIGKILL'), OUTCOME_TIMEOUT_MS);
    const status = await new Promise<number>((done) => child.once('close', (code) => done(code ?? 1)));
    clearTimeout(timer);
    return { status, output, endedAt: Date.now() };
  }

  /** Waits until it is ready, and has it say so at its port. */
  async comesUp(): Promise<BootReport> {
    const report = await waitFor(
      `drill machine ${this.instance.instanceId} to be ready`,
      async () => {
        const found = await this.report();
        return found?.status === 'ready' ? found : undefined;
      },
      { timeoutMs: OUTCOME_TIMEOUT_MS, intervalMs: 250 },
    );
    const answer = await fetch(`http://${this.guest.ip}:${PLAIN_PORT}/readyz`);
    assert.equal(answer.status, 200, `/readyz answered ${answer.status}`);
    return report;
  }

  async end(): Promise<void> {
    await this.guest.powerOff();
  }
}

/** A gate that ended with the machine's own words. */
export function passesOn({ status, output }: Verdict, { step, message }: BootReport): void {
  assert.equal(status, 1, lastLines(output, 30));
  assert.ok(
    output.includes(`failed in step ${step}`) && output.includes(message),
    `the gate does not say "${message}":\n${lastLines(output, 60)}`,
  );
}
