import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Testing } from 'cdktf';

import { buildApp, run } from '../../stacks/app';
import type { Prepared } from '../../stacks/prepare';
import type { BotProps } from '../../stacks/props';
import { temporaryFolder } from '../support/temporary-folder';
import { BUNDLE, MODEL } from './synthesised';

const folder = temporaryFolder();

const ARTIFACTS: Prepared = { bundle: BUNDLE, model: MODEL };

beforeEach(() => {
  Testing.app();
  process.env['CDKTF_OUTDIR'] = join(folder(), 'cdktf.out');
});

afterEach(() => {
  delete process.env['CDKTF_OUTDIR'];
});

describe('buildApp', () => {
  it('synthesises one stack, so that a bare `cdktf deploy` works', async () => {
    const app = await buildApp({ allowedCidrs: ['203.0.113.0/24'] }, { artifacts: ARTIFACTS });
    app.synth();
    const manifest = JSON.parse(readFileSync(join(folder(), 'cdktf.out', 'manifest.json'), 'utf8')) as {
      stacks: object;
    };
    expect(Object.keys(manifest.stacks)).toEqual(['bot']);
  });

  it('keeps the state beside the project, by a path that holds on every machine', async () => {
    const statePath = join(folder(), 'terraform.team.tfstate');
    const app = await buildApp(
      { name: 'team', allowedCidrs: ['203.0.113.0/24'] },
      { artifacts: ARTIFACTS, statePath },
    );
    app.synth();
    const file = join(folder(), 'cdktf.out', 'stacks', 'bot', 'cdk.tf.json');
    expect(existsSync(file)).toBe(true);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      terraform: { backend: { local: { path: '../../../terraform.team.tfstate' } } },
    });
  });

  it('opens the endpoint to the address it is deployed from by default', async () => {
    const lines: string[] = [];
    const app = await buildApp(
      {},
      {
        artifacts: ARTIFACTS,
        askMyAddress: () => Promise.resolve('198.51.100.7'),
        say: (line) => lines.push(line),
      },
    );
    app.synth();
    expect(lines).toContain('allowedCidrs: my-address is 198.51.100.7/32');
    const text = readFileSync(join(folder(), 'cdktf.out', 'stacks', 'bot', 'cdk.tf.json'), 'utf8');
    expect(text.match(/"cidr_ipv4": "[^"]+"/g)?.sort()).toEqual([
      '"cidr_ipv4": "0.0.0.0/0"',
      '"cidr_ipv4": "198.51.100.7/32"',
      '"cidr_ipv4": "198.51.100.7/32"',
    ]);
  });
});

describe('the number of sequences', () => {
  async function settingOf(props: BotProps): Promise<string | undefined> {
    const app = await buildApp({ allowedCidrs: ['203.0.113.0/24'], ...props }, { artifacts: ARTIFACTS });
    app.synth();
    const text = readFileSync(join(folder(), 'cdktf.out', 'stacks', 'bot', 'cdk.tf.json'), 'utf8');
    return /engine:(?:(?!threads:).)*threads:/.exec(text)?.[0].match(/sequences: \d+/)?.[0];
  }

  it("is the service's to choose, for each model that it loads", async () => {
    expect(await settingOf({})).toBeUndefined();
  });

  it('is what somebody has set', async () => {
    expect(await settingOf({ sequences: 6 })).toBe('sequences: 6');
  });
});

describe('run', () => {
  const terraform = process.env['TERRAFORM_BINARY_NAME'];

  beforeEach(() => {
    const program = join(folder(), 'terraform');
    writeFileSync(program, `#!/bin/sh\necho '{"terraform_version": "1.11.4"}'\n`, { mode: 0o755 });
    process.env['TERRAFORM_BINARY_NAME'] = program;
  });

  afterEach(() => {
    process.exitCode = undefined;
    if (terraform === undefined) {
      delete process.env['TERRAFORM_BINARY_NAME'];
    } else {
      process.env['TERRAFORM_BINARY_NAME'] = terraform;
    }
    jest.restoreAllMocks();
  });

  /** What it prints on standard error of props that are wrong. */
  async function complaint(): Promise<string> {
    const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    await run({ sequences: 99 }, { artifacts: ARTIFACTS });
    return write.mock.calls.map(([text]) => String(text)).join('');
  }

  it('lists what is wrong and exits with 1', async () => {
    const text = await complaint();
    expect(text).toBe(
      '\nOne thing to put right:\n  - sequences should be a whole number from 1 to 32, got 99\n\n',
    );
    expect(process.exitCode).toBe(1);
  });

  it('tells how to destroy all the same what was synthesised before', async () => {
    mkdirSync(join(folder(), 'cdktf.out'));
    writeFileSync(join(folder(), 'cdktf.out', 'manifest.json'), '{}');
    expect(await complaint()).toMatch(/got 99\n\nTo take .*: npx cdktf destroy --skip-synth\n$/);
  });

  it('does not send to destroy who has no Terraform', async () => {
    mkdirSync(join(folder(), 'cdktf.out'));
    writeFileSync(join(folder(), 'cdktf.out', 'manifest.json'), '{}');
    process.env['TERRAFORM_BINARY_NAME'] = join(folder(), 'missing');
    expect(await complaint()).toMatch(/missing was not found.*\n\n$/);
  });
});
