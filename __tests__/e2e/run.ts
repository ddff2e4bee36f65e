/** `npm run e2e`: EC2 in a box. See options.ts for what it takes, README.md for how it works. */
import { writeFileSync } from 'node:fs';
import { Box } from './box/box';
import { killRunningCommands } from './box/commands';
import { missingPrerequisites } from './box/prerequisites';
import { RunFolder } from './box/run-folder';
import type { Subject } from './checks/subject';
import { DRILLS } from './drills';
import type { Drill, MachineDrill, OwnDeployment } from './drills/drill';
import { type Options, parseOptions, usage } from './options';
import { checkEverything, checkNothingIsLeft, deploy, destroy, warmUp } from './path';
import { Report } from './report';

const REGION = 'us-east-1';
// The SDK announces at each start when it will drop a version of Node: not what this output is for.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

/** With a report of its own. */
type ReportedDrill = Drill & { readonly report: Report };
type ReportedMachineDrill = MachineDrill & { readonly report: Report };

const hasMachine = (drill: ReportedDrill): drill is ReportedMachineDrill =>
  drill.kind === 'machine' && drill.own === true;

async function main(): Promise<void> {
  const options = parseOptions(
    process.argv.slice(2),
    DRILLS.map(({ name }) => name),
  );
  if (options.help) return void console.log(usage(DRILLS));
  if (options.down) return takeDownOthers(['kept', 'abandoned']);

  const missing = await missingPrerequisites();
  if (missing.length > 0) {
    console.error(
      `EC2 in a box cannot run here. Missing:\n${missing.map((line) => `  - ${line}`).join('\n')}`,
    );
    process.exitCode = 1;
    return;
  }
  takeDownOthers(['abandoned']);

  const folder = RunFolder.create();
  const report = new Report();
  stopOnSignals(folder);
  // A program with nothing to wait for ends, whatever it has started: this one ends when it says so.
  setInterval(() => undefined, 60_000);
  let kept: Subject | undefined;
  try {
    kept = await everything(folder, report, options);
  } catch (error) {
    report.fail('the run itself', error instanceof Error ? (error.stack ?? error.message) : error);
  }
  if (!kept) {
    const problems = end(folder, report.hasFailed);
    if (problems.length > 0) report.fail('what the run changed is taken back', problems.join('\n'));
  }
  process.exitCode = report.finish() ? 0 : 1;
  if (options.results) writeFileSync(options.results, JSON.stringify(report.results()));
  if (kept) explainKept(kept);
  // Nothing of this run is left to wait for; a connection that an SDK keeps open must not hold the process.
  process.exit();
}

/** Returns the deployment that is to be left standing, if one is. */
async function everything(folder: RunFolder, report: Report, options: Options): Promise<Subject | undefined> {
  const drills = DRILLS.filter(({ name }) => options.drills.includes(name)).map((drill) => ({
    ...drill,
    report: report.part(drill.name),
  }));
  report.heading(`EC2 in a box (${options.os}), in ${folder.path}`);
  const box = await Box.create(folder, options.os, REGION, (text) => report.say(text));
  const before = await box.account.inventory();

  let subject: Subject | undefined;
  let withMachine: Promise<void>[] = [];
  if (options.only !== 'drills' || drills.some(({ kind }) => kind === 'machine')) {
    report.heading('Deploy');
    await warmUp(report);
    subject = await deploy(box, report);
    if (!subject) return undefined;
    withMachine = begin(report, subject, drills.filter(hasMachine));
    if (options.only !== 'drills') await checkEverything(report, subject);
  }
  const others = drills.filter((drill) => !hasMachine(drill));
  const [own] = await Promise.all([breakThings(report, box, subject, others), ...withMachine]);
  if (options.keep && subject) {
    folder.keep();
    return subject;
  }
  if (subject || own.length > 0) {
    report.heading('Destroy');
    await subject?.guest.powerOff();
    await Promise.all([
      subject && destroy(report, subject.deployment),
      ...own.map(async ({ deployment, end, destroyed }) => {
        await end();
        await destroy(report, deployment);
        await destroyed();
      }),
    ]);
    await checkNothingIsLeft(report, box, before);
  }
  return undefined;
}

/**
 * Begins drills on machines of their own. They mostly wait, for a network that is away, or for a try that comes in half a
 * minute.
 */
function begin(report: Report, subject: Subject, drills: readonly ReportedMachineDrill[]): Promise<void>[] {
  if (drills.length > 0) report.heading('Drills, beside what comes now');
  for (const { name, about } of drills) report.say(`${name}: ${about}`);
  return drills.map((drill) => timed(drill, () => drill.run(drill.report, subject, () => undefined)));
}

/**
 * Runs the other drills, those on the deployed machine one after the other. The deploys that cannot begin come when nobody
 * else changes the account, for they look whether something was left in it. Returns deployments that they have made.
 */
async function breakThings(
  report: Report,
  box: Box,
  subject: Subject | undefined,
  drills: readonly ReportedDrill[],
): Promise<OwnDeployment[]> {
  const machines = subject ? drills.filter((drill) => drill.kind === 'machine') : [];
  const deployments = drills.filter((drill) => drill.kind === 'deployment');
  const refused = drills.filter((drill) => drill.kind === 'deploy');
  const all = [...machines, ...deployments, ...refused];
  if (all.length === 0) return [];
  report.heading('Drills, side by side');
  for (const { name, about } of all) report.say(`${name}: ${about}`);
  const made: OwnDeployment[] = [];
  const onDeployed = async (): Promise<void> => {
    const besides: Promise<void>[] = [];
    for (const drill of machines) {
      if (!subject) continue;
      // What it goes on with needs another machine.
      const leaves = new Promise<void>((leave) => {
        besides.push(timed(drill, () => drill.run(drill.report, subject, leave)).finally(leave));
      });
      await leaves;
    }
    await Promise.all(besides);
  };
  const onAccount = async (): Promise<void> => {
    await Promise.all(
      deployments.map((drill) =>
        timed(drill, async () => void made.push(await drill.run(drill.report, box))),
      ),
    );
    await Promise.all(refused.map((drill) => timed(drill, () => drill.run(drill.report, box))));
  };
  await Promise.all([onDeployed(), onAccount()]);
  return made;
}

/** How long a drill takes; and one that ends in the middle leaves the others alone. */
async function timed({ name, report }: ReportedDrill, body: () => Promise<void>): Promise<void> {
  const from = Date.now();
  try {
    await body();
  } catch (error) {
    report.fail(`drill ${name}`, error instanceof Error ? (error.stack ?? error.message) : error);
  }
  report.figure({ name: `drill ${name}`, value: (Date.now() - from) / 1000, unit: 's' });
}

function explainKept({ guest, deployment }: Subject): void {
  const { account } = deployment.box;
  console.log(`
The deployment stands. To look at it:
  endpoint    curl --cacert ${deployment.certificateFile} https://${guest.ip}/health
  account     export AWS_ENDPOINT_URL=${account.endpointUrl} AWS_REGION=${account.region} AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x
  machine     ${guest.shellCommand()}
  files       ${deployment.folder}
To take it down: npm run e2e -- --down`);
}

/** Takes back what the run changed, and returns what it could not. On failure the logs stay, and are named. */
function end(folder: RunFolder, keepLogs: boolean): readonly string[] {
  killRunningCommands();
  const problems = folder.tearDown(keepLogs);
  for (const problem of problems) console.error(`could not be cleaned up: ${problem}`);
  if (problems.length > 0) {
    process.exitCode = 1;
    console.error(`What is left is listed in ${folder.undo.file}; try: npm run e2e -- --down`);
  }
  if (keepLogs) console.error(`Logs of all parts: ${folder.logs}`);
  return problems;
}

function takeDownOthers(states: string[]): void {
  for (const { folder, state } of RunFolder.existing()) {
    if (!states.includes(state)) continue;
    console.log(`taking down the ${state} run in ${folder.path}`);
    end(folder, false);
  }
}

function stopOnSignals(folder: RunFolder): void {
  // Whoever reads the output may go away (`| head`); what was started still has to be taken down.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  process.once('uncaughtException', (error) => {
    console.error(error);
    end(folder, true);
    process.exit(1);
  });
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      console.error(`\n${signal}: taking everything down`);
      end(folder, true);
      process.exit(status);
    });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
});
