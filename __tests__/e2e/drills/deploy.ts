/** Drills on the deploying side: `cdktf deploy` itself has to fail, soon, and say what to do. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { BotProps } from '../../../stacks/props';
import type { Box } from '../box/box';
import { Deployment, textOf, type Transcript } from '../deployment/deployment';
import { switchesFor } from '../deployment/switches';
import { type DeployDrill, says } from './drill';

export const deployDrills: DeployDrill[] = [
  {
    kind: 'deploy',
    name: 'terraform',
    about: 'Terraform is not installed',
    run: (report, box) =>
      failing(report, box, 'terraform', 'without Terraform it says what to install', {
        environment: { PATH: pathWithout('terraform', box.folder.folder('drills', 'bin')) },
        expected: [/terraform was not found/, /install Terraform 1\.11 or newer/, /https:\/\//],
      }),
  },
  {
    kind: 'deploy',
    name: 'provider',
    about: 'the AWS provider cannot be fetched',
    run: (report, box) => {
      const folder = box.folder.folder('drills', 'empty-mirror');
      const file = join(folder, 'terraform.rc');
      writeFileSync(
        file,
        `provider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(folder)}\n  }\n}\n`,
      );
      return failing(report, box, 'provider', 'without the provider it names the provider and its version', {
        environment: { TF_CLI_CONFIG_FILE: file },
        expected: [/provider registry\.terraform\.io\/hashicorp\/aws/, /5\.100\.0/],
      });
    },
  },
  {
    kind: 'deploy',
    name: 'credentials',
    about: 'there are no AWS credentials',
    run: (report, box) =>
      failing(report, box, 'credentials', 'without AWS credentials it says so', {
        environment: { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
        expected: [/No valid credential sources found/],
      }),
  },
  {
    kind: 'deploy',
    name: 'network',
    about: 'the deploying machine has no network',
    run: (report, box) =>
      failing(
        report,
        box,
        'network',
        'without a network it says what could not be reached, and the way around',
        {
          // An unchanged stacks/main.ts asks for the public address first.
          switches: { allowedCidrs: ['my-address'] },
          wrapper: ['unshare', '--net'],
          expected: [/my-address/, /checkip\.amazonaws\.com/, /Check the network/],
        },
      ),
  },
];

interface Failure {
  environment?: NodeJS.ProcessEnv;
  switches?: BotProps;
  /** A program that runs cdktf. */
  wrapper?: string[];
  expected: RegExp[];
}

/** A deploy that fails before it makes anything. */
async function failing(
  report: Parameters<DeployDrill['run']>[0],
  box: Box,
  name: string,
  title: string,
  { environment, switches, wrapper, expected }: Failure,
): Promise<void> {
  await report.check(title, async () => {
    const before = await box.account.inventory();
    const all = { ...switchesFor(box.network.addresses, name), ...switches };
    const deployment = new Deployment(box, `drill-${name}`, all, box.reserveAddresses().ip);
    const transcript: Transcript = await deployment.deploy(environment, wrapper);
    const text = textOf(transcript);
    assert.notEqual(transcript.status, 0, 'cdktf deploy succeeded');
    says(text, ...expected);
    assert.deepEqual(await box.account.inventory(), before, 'something was left in the account');
    return firstMatch(text, expected[0] ?? /./);
  });
}

/** PATH with this program taken out: folders that hold it are replaced by links to everything else in them. */
function pathWithout(program: string, scratch: string): string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => existsSync(folder));
  return folders
    .map((folder, index) => {
      if (!existsSync(join(folder, program))) return folder;
      const copy = join(scratch, String(index));
      mkdirSync(copy, { recursive: true });
      for (const name of readdirSync(folder)) {
        if (name !== program) symlinkSync(join(folder, name), join(copy, name));
      }
      return copy;
    })
    .join(delimiter);
}

function firstMatch(text: string, pattern: RegExp): string {
  return (
    text
      .split('\n')
      .find((line) => pattern.test(line))
      ?.trim() ?? ''
  );
}
