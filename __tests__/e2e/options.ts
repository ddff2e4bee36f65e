/** The command line of `npm run e2e`. */
import { parseArgs } from 'node:util';
import type { GuestOs } from './box/rootfs';

export interface Options {
  help: boolean;
  down: boolean;
  keep: boolean;
  os: GuestOs;
  /** Drills to run: names, or `all`. */
  drills: string[];
  /** Leave out the checks of the path; what drills need is still deployed. */
  only: 'path' | 'drills' | undefined;
  /** Where to write what passed and what did not, as JSON. */
  results: string | undefined;
}

export function usage(drills: readonly { name: string; about: string }[]): string {
  return `npm run e2e -- [OPTION...]

Deploys into an emulated AWS account with the real cdktf and Terraform, boots a machine from what was deployed,
talks to it, takes everything down again, and checks each step. Needs root and no network but the package mirror.

  --drill NAME|all   also break something on purpose and check the message; may be given more than once
  --only drills      the drills alone, without the checks of the path
  --os NAME          debian-12 (default) or debian-13
  --keep             leave deployment and machine standing, and say how to use them
  --results FILE     also write what passed and what did not, part by part, as JSON
  --down             take down what --keep left, and the remains of runs that were killed
  --help

Drills:
${drills.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join('\n')}
`;
}

/** @throws Error that says what is allowed. */
export function parseOptions(args: string[], drillNames: readonly string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      down: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      os: { type: 'string', default: 'debian-12' },
      drill: { type: 'string', multiple: true, default: [] },
      only: { type: 'string' },
      results: { type: 'string' },
    },
  });
  const { help, down, keep, os, only } = values;
  if (os !== 'debian-12' && os !== 'debian-13')
    throw new Error(`--os should be debian-12 or debian-13, got ${os}`);
  if (only !== undefined && only !== 'path' && only !== 'drills')
    throw new Error(`--only should be path or drills, got ${only}`);
  const drills = values.drill.includes('all') ? [...drillNames] : values.drill;
  for (const drill of drills) {
    if (!drillNames.includes(drill))
      throw new Error(`--drill should be all or one of ${drillNames.join(', ')}, got ${drill}`);
  }
  return {
    help,
    down,
    keep,
    os,
    drills: only === 'drills' && drills.length === 0 ? [...drillNames] : drills,
    only,
    results: values.results,
  };
}
