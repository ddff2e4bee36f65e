/** A failure made on purpose, and the message that a person needs then. */
import assert from 'node:assert/strict';
import type { Box } from '../box/box';
import type { Subject } from '../checks/subject';
import type { Report } from '../report';

interface DrillBase {
  name: string;
  /** One line for --help. */
  about: string;
}

/** Uses what a working deployment has left in the account; boots a machine of its own. */
export interface MachineDrill extends DrillBase {
  kind: 'machine';
  run(report: Report, subject: Subject): Promise<void>;
}

/** Runs cdktf in a folder of its own. */
export interface DeployDrill extends DrillBase {
  kind: 'deploy';
  run(report: Report, box: Box): Promise<void>;
}

export type Drill = MachineDrill | DeployDrill;

/** Every pattern is in the text, or the error shows the text. */
export function says(text: string, ...patterns: RegExp[]): void {
  for (const pattern of patterns) {
    assert.match(text, pattern, `expected ${pattern} in:\n${text.trim().split('\n').slice(-40).join('\n')}`);
  }
}
