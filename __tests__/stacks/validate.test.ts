/** What Terraform itself says of the synthesised stack: every reference, argument and type, against the real provider. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { findProviderMirror, terraformEnvironment } from '../e2e/box/terraform-configuration';
import { temporaryFolder } from '../support/temporary-folder';
import { synthesise } from './synthesised';
import { TOPOLOGIES } from './topologies';

const folder = temporaryFolder();
const hasTerraform = spawnSync('terraform', ['version']).error === undefined;

/** Why there is nobody to ask, if so. The provider would be 700 MB from the registry. */
const lacking = !hasTerraform ? 'no terraform' : !findProviderMirror() ? 'no mirror of the AWS provider' : '';

(lacking === '' ? describe : describe.skip)(
  `terraform validate${lacking && ` (skipped: ${lacking})`}`,
  () => {
    it('accepts every topology', () => {
      const env = { ...process.env, ...terraformEnvironment(join(folder(), 'terraform.rc')) };
      const terraform = (...args: string[]) =>
        execFileSync('terraform', args, {
          cwd: folder(),
          env,
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        });
      // As modules of one configuration: the provider, which takes five seconds to say what it knows, is asked once.
      const modules = Object.values(TOPOLOGIES).map((props, index) => {
        const source = `./topology-${index}`;
        mkdirSync(join(folder(), source));
        writeFileSync(join(folder(), source, 'cdk.tf.json'), synthesise(props).json);
        return [`topology-${index}`, { source }] as const;
      });
      writeFileSync(join(folder(), 'main.tf.json'), JSON.stringify({ module: Object.fromEntries(modules) }));
      terraform('init', '-backend=false', '-input=false');
      expect(JSON.parse(terraform('validate', '-json'))).toMatchObject({ valid: true, warning_count: 0 });
    });
  },
);
