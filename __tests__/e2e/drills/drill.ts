/** A failure made on purpose, and the message that a person needs then. */
import assert from 'node:assert/strict';
import type { Box } from '../box/box';
import type { Subject } from '../checks/subject';
import type { Deployment } from '../deployment/deployment';
import type { Report } from '../report';

interface DrillBase {
  name: string;
  /** One line for --help. */
  about: string;
}

/** Uses a working deployment. */
export interface MachineDrill extends DrillBase {
  kind: 'machine';
  /** Boots a machine of its own, and begins beside the checks of the deployment. @default false: on the one that was deployed */
  own?: boolean;
  /** @param leave called when what is left to do needs the deployed machine no more: the next drill may have it */
  run(report: Report, subject: Subject, leave: () => void): Promise<void>;
}

/** Makes a deployment of its own, beside the one that others use. */
export interface DeploymentDrill extends DrillBase {
  kind: 'deployment';
  run(report: Report, box: Box): Promise<OwnDeployment>;
}

/** What is to be taken down after a drill. */
export interface OwnDeployment {
  deployment: Deployment;
  /** Ends the machine. */
  end(): Promise<void>;
  /** Once `cdktf destroy` has been. */
  destroyed(): Promise<void>;
}

/** A deploy that fails before it makes anything, in a folder of its own. */
export interface DeployDrill extends DrillBase {
  kind: 'deploy';
  run(report: Report, box: Box): Promise<void>;
}

export type Drill = MachineDrill | DeploymentDrill | DeployDrill;

/** Checks that build on each other: after one that fails, the others are not tried and fail at once. */
export function checksInOrder(
  report: Report,
  drill: string,
): (name: string, body: () => unknown) => Promise<void> {
  let isGood = true;
  return async (name, body) => {
    if (isGood) isGood = await report.check(`${drill}: ${name}`, body);
    else report.fail(`${drill}: ${name}`, 'not tried: the check before it failed');
  };
}

/** Every pattern is in the text, or the error shows the text. */
export function says(text: string, ...patterns: RegExp[]): void {
  for (const pattern of patterns) {
    assert.match(text, pattern, `expected ${pattern} in:\n${text.trim().split('\n').slice(-40).join('\n')}`);
  }
}
