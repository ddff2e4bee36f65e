import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { checkTerraform, foresee } from '../../stacks/preflight';
import { temporaryFolder } from '../support/temporary-folder';

const folder = temporaryFolder();

/** A PATH on which `terraform` prints this. */
function terraformThatSays(output: string): NodeJS.ProcessEnv {
  const program = join(folder(), 'terraform');
  writeFileSync(program, `#!/bin/sh\ncat <<'END'\n${output}\nEND\n`);
  chmodSync(program, 0o755);
  return { PATH: `${folder()}${delimiter}/usr/bin${delimiter}/bin` };
}

describe('checkTerraform', () => {
  it('is content with 1.11 and later', () => {
    for (const version of ['1.11.0', '1.12.0-beta1', '2.0.0']) {
      expect(() => checkTerraform(terraformThatSays(`{"terraform_version": "${version}"}`))).not.toThrow();
    }
  });

  it('says how to get a newer one', () => {
    expect(() => checkTerraform(terraformThatSays('{"terraform_version": "1.10.5"}'))).toThrow(
      /^terraform 1\.10\.5 is too old: .* install Terraform 1\.11 or newer \(https:/,
    );
  });

  it('says how to get it at all', () => {
    expect(() => checkTerraform({ PATH: folder() })).toThrow(
      /^terraform was not found: install Terraform 1\.11/,
    );
  });

  it('says so when something else has its name', () => {
    expect(() => checkTerraform(terraformThatSays('hello'))).toThrow(/said nothing about its version/);
  });

  it('looks for the program that cdktf will run', () => {
    expect(() => checkTerraform({ PATH: folder(), TERRAFORM_BINARY_NAME: 'tofu' })).toThrow(
      /^tofu was not found/,
    );
  });
});

describe('foresee', () => {
  const before = { ...process.env };

  beforeEach(() => {
    // Nothing of this machine's own AWS set-up, and no role of a machine in AWS.
    process.env = Object.fromEntries(Object.entries(before).filter(([name]) => !name.startsWith('AWS_')));
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
    process.env['AWS_CONFIG_FILE'] = join(folder(), 'config');
    process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(folder(), 'credentials');
  });

  afterEach(() => {
    process.env = { ...before };
  });

  /** As after a first `terraform init`. */
  function outdirWithProvider(): string {
    mkdirSync(join(folder(), 'stacks', 'bot', '.terraform', 'providers'), { recursive: true });
    return folder();
  }

  it('tells how to sign in when there are no credentials', async () => {
    expect(await foresee('us-east-1', outdirWithProvider())).toEqual([
      expect.stringMatching(/^no AWS credentials were found .*aws configure or aws sso login/),
    ]);
  });

  it('has nothing to say when everything is there', async () => {
    process.env['AWS_ACCESS_KEY_ID'] = 'a';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'b';
    expect(await foresee('us-east-1', outdirWithProvider())).toEqual([]);
  });
});
