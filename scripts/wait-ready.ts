/**
 * The readiness gate, run by Terraform on the deploying machine (stacks/constructs/readiness.ts): `cdktf deploy` ends
 * when this ends. Everything it is told comes by the environment, see lib/gate/settings.ts.
 *
 *   wait-ready --stage boot      until the machine reports that it is ready, or why not
 *   wait-ready --stage answer    until the endpoint has answered an authenticated request
 *
 * Exit status: 0 ready, 1 failed, 130 stopped.
 */
import { parseArgs } from 'node:util';

import { waitForAnswer } from './lib/gate/answer';
import { connectCloud } from './lib/gate/aws';
import { waitForBoot } from './lib/gate/boot';
import { GateError, refuseMadeUpAddress, settingsFrom } from './lib/gate/settings';

const STAGES = ['boot', 'answer'];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(signal: AbortSignal): Promise<void> {
  const { stage } = parseArgs({ options: { stage: { type: 'string' } } }).values;
  if (stage === undefined || !STAGES.includes(stage)) {
    throw new GateError(`--stage should be one of ${STAGES.join(', ')}, got ${stage ?? 'nothing'}`);
  }
  const settings = settingsFrom(process.env);
  if (stage === 'answer') {
    refuseMadeUpAddress(process.env);
    await waitForAnswer(connectCloud(settings), settings, say, signal);
  } else {
    await waitForBoot(connectCloud(settings), settings, say, signal);
  }
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stop.abort());
}

main(stop.signal).catch((error: unknown) => {
  if (stop.signal.aborted) {
    process.stderr.write('\nstopped; the machine goes on. Run cdktf deploy again to wait for it\n');
    process.exitCode = 130;
    return;
  }
  const isKnown = error instanceof GateError;
  process.stderr.write(
    `\n${isKnown ? error.message : String(error instanceof Error ? (error.stack ?? error) : error)}\n`,
  );
  process.exitCode = 1;
});
