/** What Terraform itself says of the synthesised stack: every reference, argument and type, against the real provider. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { findProviderMirror, terraformEnvironment } from '../e2e/box/terraform-configuration';
import { temporaryFolder } from '../support/temporary-folder';
import { synthesise } from './synthesised';

const folder = temporaryFolder();
const hasTerraform = spawnSync('terraform', ['version']).error === undefined;

/** Why there is nobody to ask, if so. The provider would be 700 MB from the registry. */
const lacking = !hasTerraform ? 'no terraform' : !findProviderMirror() ? 'no mirror of the AWS provider' : '';

(lacking === '' ? describe : describe.skip)(
  `terraform validate${lacking && ` (skipped: ${lacking})`}`,
  () => {
    it('accepts the stack with the defaults, and with every prop set', () => {
      const env = { ...process.env, ...terraformEnvironment(join(folder(), 'terraform.rc')) };
      const work = join(folder(), 'work');
      mkdirSync(work);
      const terraform = (...args: string[]) =>
        execFileSync('terraform', args, {
          cwd: work,
          env,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        });
      for (const stack of [
        synthesise(),
        synthesise({
          instanceType: 't3.medium',
          console: true,
          adminCidrs: ['192.0.2.0/24'],
          amiId: 'ami-0123456789abcdef0',
          availabilityZone: 'us-east-1c',
          tags: { owner: 'me' },
        }),
      ]) {
        writeFileSync(join(work, 'cdk.tf.json'), stack.json);
        terraform('init', '-backend=false', '-input=false');
        expect(JSON.parse(terraform('validate', '-json'))).toMatchObject({ valid: true, warning_count: 0 });
      }
    });
  },
);
