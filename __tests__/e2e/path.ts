/** The whole path: `cdktf deploy` -> boot -> answer -> checks -> a second plan -> `cdktf destroy` -> nothing left. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import type { DeployedInstance } from './box/account';
import type { BootOptions, Box } from './box/box';
import { lastLines, run, waitFor } from './box/commands';
import type { Guest } from './box/guest';
import { checkEndpoint } from './checks/endpoint';
import { checkFigures } from './checks/figures';
import { checkMachine, checkReboot } from './checks/machine';
import { checkRotation } from './checks/rotation';
import { checkRole, checkSecrets } from './checks/secrets';
import { type BootReport, findBucket, readApiKey, readReport, type Subject } from './checks/subject';
import { Deployment, textOf, type Transcript } from './deployment/deployment';
import { switchesFor } from './deployment/switches';
import type { Report } from './report';

const ROOT = resolve(__dirname, '..', '..');
const LIMITS = { firstAnswerSeconds: 180, readySeconds: 30, bundleMegabytes: 60, userDataBytes: 16_384 };

/** How long a guest may take from its first process to a final report, before the test gives up on it. */
export const BOOT_TIMEOUT_MS = 480_000;

/** Builds the bundle, so that the deploy that is measured finds its caches warm. */
export async function warmUp(report: Report): Promise<void> {
  const from = Date.now();
  const { stdout } = await run(
    [process.execPath, require.resolve('tsx/cli'), 'scripts/bundle.ts', '--json'],
    {
      cwd: ROOT,
      timeoutMs: 600_000,
    },
  );
  const { size } = JSON.parse(lastLines(stdout, 1)) as { size: number };
  report.figure({ name: 'building the bundle', value: (Date.now() - from) / 1000, unit: 's' });
  report.figure({ name: 'bundle', value: size / 1e6, unit: 'MB', limit: LIMITS.bundleMegabytes });
}

/** Deploys into the box and boots what was deployed. Undefined (and a failed check) when that did not work. */
export async function deploy(box: Box, report: Report): Promise<Subject | undefined> {
  const addresses = box.reserveAddresses();
  const deployment = new Deployment(box, 'deploy', switchesFor(box.network.addresses, 'e2e'), addresses.ip);
  const from = Date.now();
  report.say(`cdktf deploy runs, its output goes to ${deployment.logFile}`);
  const [transcript, booted] = await deployAndBoot(box, deployment, report, { name: 'guest', addresses });
  const until = Date.now();
  const good = await report.check('cdktf deploy returns when the endpoint has answered', () => {
    assert.equal(
      transcript.status,
      0,
      `it ended with status ${transcript.status}\n${lastLines(textOf(transcript), 60)}`,
    );
  });
  if (!good) return undefined;
  if (booted instanceof Error) throw booted;
  const { instance, guest, bucket, boot, readyAt } = booted;
  addFigures(report, { transcript, from, until, guest, boot, readyAt, instance });
  return {
    deployment,
    instance,
    guest,
    bucket,
    report: boot,
    apiKey: await readApiKey(box.account, deployment.switches.name ?? ''),
  };
}

interface Booted {
  instance: DeployedInstance;
  guest: Guest;
  bucket: string;
  boot: BootReport;
  readyAt: number;
}

/** Runs `cdktf deploy`, and meanwhile boots the guest as soon as its instance appears. */
export async function deployAndBoot(
  box: Box,
  deployment: Deployment,
  report: Report,
  options: BootOptions,
): Promise<[Transcript, Booted | Error]> {
  const over = new AbortController();
  const booted = bootWhenDeployed(box, deployment, report, options, over.signal).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
  const transcript = await deployment.deploy();
  over.abort();
  return [transcript, await booted];
}

async function bootWhenDeployed(
  box: Box,
  deployment: Deployment,
  report: Report,
  options: BootOptions,
  over: AbortSignal,
): Promise<Booted> {
  const instance = await box.account.waitForInstance(deployment.switches.name ?? '', over);
  const guest = await box.boot(instance, options);
  report.say(`instance ${instance.instanceId} exists: a guest boots from its user-data at ${guest.ip}`);
  const bucket = await findBucket(box.account, deployment.switches.name ?? '');
  const boot = await waitForReport(box, bucket, instance.instanceId, over);
  const readyAt = Date.now();
  report.say(`its bootstrap says: ${boot.status}, ${boot.message}`);
  return { instance, guest, bucket, boot, readyAt };
}

/** Follows the report of a bootstrap until it is final. */
export async function waitForReport(
  box: Box,
  bucket: string,
  instanceId: string,
  signal?: AbortSignal,
): Promise<BootReport> {
  return waitFor(
    `a final report of instance ${instanceId}`,
    async () => {
      const found = await readReport(box.account, bucket, instanceId);
      return found && found.status !== 'running' ? found : undefined;
    },
    { timeoutMs: BOOT_TIMEOUT_MS, intervalMs: 200, signal },
  );
}

export async function checkEverything(report: Report, subject: Subject): Promise<void> {
  report.heading('From outside');
  await checkEndpoint(report, subject);
  report.heading('The machine');
  await checkMachine(report, subject);
  report.heading('Secrets and permissions');
  await checkSecrets(report, subject);
  await checkRole(report, subject);
  await checkRotation(report, subject);
  report.heading('It stays');
  await checkReboot(report, subject);
  await checkFigures(report, subject);
  await report.check('a second plan is empty', async () => {
    const { status, stdout, stderr } = await subject.deployment.plan();
    assert.equal(status, 0, lastLines(stdout + stderr, 60));
  });
}

/** Takes a deployment down. */
export async function destroy(report: Report, deployment: Deployment): Promise<void> {
  const from = Date.now();
  await report.check(`cdktf destroy succeeds (${deployment.name})`, async () => {
    const transcript = await deployment.destroy();
    assert.equal(transcript.status, 0, lastLines(textOf(transcript), 60));
  });
  report.figure({ name: `cdktf destroy (${deployment.name})`, value: (Date.now() - from) / 1000, unit: 's' });
}

/** Compares the account with what it held before. */
export async function checkNothingIsLeft(report: Report, box: Box, before: readonly string[]): Promise<void> {
  await report.check('nothing is left in the account', async () => {
    const after = await box.account.inventory();
    assert.deepEqual(
      after.filter((line) => !before.includes(line)),
      [],
    );
    return `the ${after.length} things that a new account holds`;
  });
}

interface Course {
  transcript: Transcript;
  from: number;
  until: number;
  guest: Guest;
  boot: BootReport;
  readyAt: number;
  instance: DeployedInstance;
}

function addFigures(
  report: Report,
  { transcript, from, until, guest, boot, readyAt, instance }: Course,
): void {
  const firstLine = (pattern: RegExp): number | undefined =>
    transcript.lines.find(({ text }) => pattern.test(text))?.atMs;
  const seconds = (name: string, start: number, end: number | undefined, limit?: number): void => {
    if (end !== undefined) report.figure({ name, value: (end - start) / 1000, unit: 's', limit });
  };
  const synthesised = firstLine(/Initializing the backend/);
  seconds('synth, bundle included', from, synthesised);
  seconds('deploy start to the machine', from, guest.startedAt);
  for (const step of boot.steps)
    report.figure({ name: `  bootstrap: ${step.name}`, value: step.seconds, unit: 's' });
  seconds('machine start to ready, apt included', guest.startedAt, readyAt, LIMITS.readySeconds);
  seconds('deploy start to first answer', from, until, LIMITS.firstAnswerSeconds);
  const userDataBytes = Buffer.from(instance.userData, 'base64').length;
  report.figure({ name: 'user-data', value: userDataBytes, unit: 'bytes', limit: LIMITS.userDataBytes });
}
