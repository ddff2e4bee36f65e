/**
 * Lists what is in the account under the stack's tag: all of it while a deployment stands, nothing after a destroy.
 *
 *   npm run leftovers [-- --name NAME] [--region REGION]
 *
 * Exit status: 0 nothing is left, 1 something is, 2 it could not be found out.
 */
import { parseArgs } from 'node:util';

import { EC2Client } from '@aws-sdk/client-ec2';
import { ResourceGroupsTaggingAPIClient } from '@aws-sdk/client-resource-groups-tagging-api';

import { props } from '../stacks/main';
import { describeLeftover, findLeftovers, TAG } from './lib/leftovers';

const USAGE = `usage: npm run leftovers [-- OPTION...]

Lists what is in the account under the tag ${TAG}. AWS goes on listing some of what was
deleted for minutes. Roles are not listed (the tagging service does not know them); they cost nothing.
  --name NAME       one deployment; by default every one
  --region REGION   by default the region of stacks/main.ts
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { name: { type: 'string' }, region: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const region = values.region ?? props.region ?? 'us-east-1';
  // A notice about Node's age helps nobody here.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const client = new ResourceGroupsTaggingAPIClient({ region });
  const found = await findLeftovers(client, new EC2Client({ region }), values.name);
  if (found.length === 0) {
    process.stdout.write(`nothing is left in ${region}\n`);
    return;
  }
  for (const name of new Set(found.map((each) => each.name))) {
    process.stdout.write(`${name}, in ${region}:\n`);
    for (const each of found.filter((candidate) => candidate.name === name)) {
      process.stdout.write(`  ${describeLeftover(each)}\n`);
    }
  }
  process.exitCode = 1;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
