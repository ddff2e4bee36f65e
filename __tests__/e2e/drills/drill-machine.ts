/** A machine of a drill's own, booted from what was deployed, in an AWS of its own that can fail. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { DeployedInstance } from '../box/account';
import { AwsFront, type Fault } from '../box/aws-front';
import type { BootOptions } from '../box/box';
import { waitFor } from '../box/commands';
import type { Guest } from '../box/guest';
import { type BootReport, readReport, type Subject } from '../checks/subject';
import { says } from './drill';
import { openGate, type Gate, type Verdict } from './gate';

const PLAIN_PORT = 18789;

/** From a guest's first process to a report that is final, at the longest: with other drills beside it. */
const OUTCOME_TIMEOUT_MS = 480_000;

export interface DrillOptions extends Pick<BootOptions, 'files' | 'diskMiB'> {
  /** A text of the user-data and what stands in its place. */
  replace?: [string, string];
  /** What the network swallows from the start. */
  cutOff?: readonly string[];
  /** What is wrong with AWS from the start. */
  fault?: Fault;
  /** A deploy waits for it, since before it is switched on. @default false */
  isAwaited?: boolean;
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
    readonly firstGate: Gate | undefined,
  ) {}

  static async boot(subject: Subject, name: string, options: DrillOptions = {}): Promise<DrillMachine> {
    const { box } = subject.deployment;
    const { replace, cutOff = [], fault = {}, isAwaited = false, ...rest } = options;
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
    const gate = isAwaited
      ? await openGate(subject, { ...instance, ip: addresses.ip, plainPort: PLAIN_PORT })
      : undefined;
    const guest = await box.boot(instance, {
      name: `drill-${name}`,
      addresses,
      awsUrl: front.url,
      ...rest,
    });
    return new DrillMachine(subject, instance, guest, front, gate);
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
    // It goes there through the journal, and so may come after the report.
    await waitFor(`the console to say: ${said}`, () => this.console().includes(said) || undefined, {
      timeoutMs: 60_000,
    });
    const { stdout } = await this.guest.exec(['systemctl', 'is-enabled', 'bot-bootstrap.service']);
    assert.equal(stdout.trim(), 'enabled');
    return report;
  }

  /** Ends the unit's own next try, which may have begun; changes what is to be changed; and has it try again. */
  async tryAgain(change: () => unknown): Promise<void> {
    await this.guest.exec(['systemctl', 'stop', 'bot-bootstrap.service']);
    this.#seen = (await this.report())?.time ?? '';
    await change();
    await this.guest.exec(['systemctl', 'restart', 'bot-bootstrap.service'], {
      allowFailure: true,
      timeoutMs: OUTCOME_TIMEOUT_MS,
    });
  }

  /** What it has printed where EC2 keeps it for `aws ec2 get-console-output`. */
  console(): string {
    return readFileSync(this.guest.consoleLog, 'utf8');
  }

  /** What the deploy says that waited since before the boot. */
  async firstVerdict(): Promise<Verdict> {
    assert.ok(this.firstGate, 'nobody waits for this machine');
    return this.firstGate.verdict;
  }

  /** What a deploy says that begins to wait now. */
  async gate(): Promise<Verdict> {
    const gate = await openGate(this.subject, { ...this.instance, ip: this.guest.ip, plainPort: PLAIN_PORT });
    return gate.verdict;
  }

  /**
   * Waits until it is ready, and has it say so at its port.
   *
   * @param look is shown what it reports meanwhile: it may take more than one try
   */
  async comesUp(look: (report: BootReport) => void = () => undefined): Promise<BootReport> {
    const report = await waitFor(
      `drill machine ${this.instance.instanceId} to be ready`,
      async () => {
        const found = await this.report();
        if (found) look(found);
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
