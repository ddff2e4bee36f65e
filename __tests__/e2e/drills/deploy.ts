/** Drills on the deploying side: `cdktf deploy` itself has to fail, soon, and say what to do. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { BotProps } from '../../../stacks/props';
import type { Box } from '../box/box';
import { Deployment, textOf, type Transcript } from '../deployment/deployment';
import { switchesFor } from '../deployment/switches';
import { deployAndBoot, destroy } from '../path';
import { type DeployDrill, says } from './drill';

/** A unit that has the port before the bootstrap comes. */
const SQUATTER = `[Unit]
Description=Something else that listens on port 18789
[Service]
ExecStart=/usr/bin/python3 -m http.server 18789
`;
const WANTS_SQUATTER = '[Unit]\nWants=squatter.service\n';

export const deployDrills: DeployDrill[] = [
  {
    kind: 'deploy',
    name: 'port',
    about: 'port 18789 is taken on the machine; the whole `cdktf deploy` fails and says so',
    run: async (report, box) => {
      const before = await box.account.inventory();
      const addresses = box.reserveAddresses();
      const deployment = new Deployment(
        box,
        'drill-port',
        switchesFor(box.network.addresses, 'port'),
        addresses.ip,
      );
      await report.check(
        'a taken port fails the deploy within a minute, with step, cause and the end of the log',
        async () => {
          const [transcript, booted] = await deployAndBoot(box, deployment, report, {
            name: 'drill-port',
            addresses,
            files: {
              '/etc/systemd/system/squatter.service': SQUATTER,
              '/etc/systemd/system/multi-user.target.d/squatter.conf': WANTS_SQUATTER,
            },
          });
          if (booted instanceof Error) throw booted;
          const { boot, readyAt, guest } = booted;
          const delay = (Date.now() - readyAt) / 1000;
          await guest.powerOff();
          assert.equal(boot.status, 'failed');
          assert.notEqual(transcript.status, 0, 'cdktf deploy succeeded');
          const text = textOf(transcript);
          says(text, /step services/, /port 18789 is taken by python3/, /externalPort/);
          says(text, /step configure done/); // a line of the log that only its end carries
          assert.ok(delay < 60, `it took ${delay} s from the bootstrap's failure to the end of the deploy`);
          return `${delay.toFixed(1)} s after the bootstrap failed`;
        },
      );
      await destroy(report, deployment, before);
    },
  },
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
