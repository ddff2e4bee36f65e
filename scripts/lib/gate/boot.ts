/** First half of the gate: follows the machine's own report until it says ready. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Cloud, Report } from './aws';
import { GateError, type Settings } from './settings';

type Say = (line: string) => void;

/** While one step goes on, a line now and then, so that nobody thinks it hangs. */
const STILL_EVERY_MS = 20_000;
/** Requests that fail on their way are tried again; this many in a row mean that there is no network. */
const MAX_FAILURES = 15;

/** @throws GateError with the machine's own words, or with where to look when it says nothing. */
export async function waitForBoot(
  cloud: Cloud,
  settings: Settings,
  say: Say,
  signal: AbortSignal,
): Promise<Report> {
  const { instanceId, silenceMs, graceMs, limitMs, pollMs } = settings;
  const start = Date.now();
  const elapsed = () => Date.now() - start;
  const teller = new Teller(say, elapsed);
  let failures = 0;
  /** Whether the machine had reported before this wait: a failure then may be from before its cause was put right. */
  let wasThere: boolean | undefined;
  say(
    `waiting for ${instanceId} to boot (at most ${minutes(limitMs)}; Ctrl-C ends the wait, not the machine)`,
  );

  for (;;) {
    let report: Report | undefined;
    try {
      report = await cloud.report(signal);
      wasThere ??= report !== undefined;
      failures = 0;
    } catch (error) {
      failures += 1;
      if (signal.aborted || error instanceof GateError) {
        throw error;
      }
      if (failures >= MAX_FAILURES) {
        throw new GateError(noNetwork(error));
      }
    }
    if (report?.status === 'ready') {
      teller.tell(report);
      say(`${instanceId} is ready after ${seconds(elapsed())}`);
      return report;
    }
    teller.tell(report);
    if (report?.status === 'failed') {
      if (!wasThere || elapsed() >= graceMs) {
        throw new GateError(bootFailure(report, settings));
      }
      teller.tellStale(report, graceMs);
    }
    if (report === undefined && elapsed() > silenceMs) {
      throw new GateError(silence(settings));
    }
    if (elapsed() > limitMs) {
      throw new GateError(tooLong(report, settings));
    }
    await sleep(pollMs, undefined, { signal });
  }
}

/** Says what is new in each report, once. */
class Teller {
  readonly #say: Say;
  readonly #elapsed: () => number;
  readonly #told = new Set<string>();
  #lastWord = 0;

  constructor(say: Say, elapsed: () => number) {
    this.#say = say;
    this.#elapsed = elapsed;
  }

  tell(report: Report | undefined): void {
    for (const { name, seconds: took } of report?.steps ?? []) {
      this.#once(name, `  ${name.padEnd(10)} ${took.toFixed(1).padStart(6)} s`);
    }
    if (this.#elapsed() - this.#lastWord >= STILL_EVERY_MS) {
      const doing = report === undefined ? 'no word from the machine yet' : `step ${report.step} goes on`;
      const why = report?.status === 'running' && report.message !== '' ? `: ${report.message}` : '';
      this.#word(`  ${doing} (${seconds(this.#elapsed())})${why}`);
    }
  }

  tellStale({ step, time }: Report, graceMs: number): void {
    this.#once(
      `stale ${time}`,
      `  the last try failed in step ${step}; giving the machine ${seconds(graceMs)} to try again`,
    );
  }

  #once(key: string, line: string): void {
    if (!this.#told.has(key)) {
      this.#told.add(key);
      this.#word(line);
    }
  }

  #word(line: string): void {
    this.#lastWord = this.#elapsed();
    this.#say(line);
  }
}

function bootFailure({ step, message, log, time }: Report, { instanceId, region }: Settings): string {
  const tail = log ? `\nThe end of its log:\n${indent(log)}\n` : '';
  return (
    `the machine's first boot failed in step ${step} (${time}):\n  ${message}\n${tail}\n` +
    `A machine that ran before keeps the address and goes on answering.\n` +
    `When the cause is gone:   npx cdktf deploy\n` +
    `If that ends here again, the machine has stopped trying. Reboot it, then deploy again:\n` +
    `  aws ec2 reboot-instances --region ${region} --instance-ids ${instanceId} && npx cdktf deploy`
  );
}

function noNetwork(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  return `AWS cannot be asked from here (${reason}): check the network, then run cdktf deploy again: it goes on from here`;
}

function silence({ instanceId, region, silenceMs }: Settings): string {
  return (
    `${instanceId} has said nothing for ${minutes(silenceMs)}. It reports to S3 as soon as cloud-init runs, so either it ` +
    `did not start or it cannot reach S3. Look at\n${whereToLook(instanceId, region)}`
  );
}

function tooLong(report: Report | undefined, { instanceId, region, limitMs }: Settings): string {
  const last = report === undefined ? 'has said nothing' : `was in step ${report.step} at ${report.time}`;
  return `${instanceId} is not ready after ${minutes(limitMs)}: it ${last}. Look at\n${whereToLook(instanceId, region)}`;
}

function whereToLook(instanceId: string, region: string): string {
  return [
    `  what it printed:  aws ec2 get-console-output --region ${region} --instance-id ${instanceId} --latest --output text`,
    `  a shell on it:    aws ssm start-session --region ${region} --target ${instanceId}`,
    `                    then: sudo cat /var/log/bot-bootstrap.log /var/log/cloud-init-output.log`,
  ].join('\n');
}

export function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function minutes(ms: number): string {
  return ms < 120_000 ? seconds(ms) : `${Math.round(ms / 60_000)} min`;
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  | ');
}
