import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Testing } from 'cdktf';

import { buildApp } from '../../stacks/app';
import type { Prepared } from '../../stacks/prepare';
import { temporaryFolder } from '../support/temporary-folder';
import { BUNDLE, MODEL } from './synthesised';

const folder = temporaryFolder();

const ARTIFACTS: Prepared = { bundle: BUNDLE, model: MODEL, problemsOfFit: () => [] };

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
    const app = await buildApp(
      {},
      { artifacts: ARTIFACTS, askMyAddress: () => Promise.resolve('198.51.100.7') },
    );
    app.synth();
    const text = readFileSync(join(folder(), 'cdktf.out', 'stacks', 'bot', 'cdk.tf.json'), 'utf8');
    expect(text.match(/"cidr_ipv4": "[^"]+"/g)?.sort()).toEqual([
      '"cidr_ipv4": "0.0.0.0/0"',
      '"cidr_ipv4": "198.51.100.7/32"',
      '"cidr_ipv4": "198.51.100.7/32"',
    ]);
  });

  it('refuses a model that does not suit the machine, before anything is synthesised', async () => {
    const artifacts = { ...ARTIFACTS, problemsOfFit: () => ['instanceType c7a.large is too small'] };
    await expect(buildApp({ allowedCidrs: ['203.0.113.0/24'] }, { artifacts })).rejects.toThrow(
      /is too small/,
    );
  });
});
