/**
 * Looks, before anything else happens, for what a deploy cannot do without. cdktf itself would get as far as
 * `terraform init` and end with "execvp(3) failed".
 */
import { spawnSync } from 'node:child_process';

import { PropsError } from './props';

/** Ephemeral values and write-only arguments came with this one. */
const NEEDED = [1, 11] as const;

const REMEDY = `install Terraform ${NEEDED.join('.')} or newer (https://developer.hashicorp.com/terraform/install) and see that it is on PATH`;

/** @throws PropsError where Terraform is missing or too old. */
export function checkTerraform(env: NodeJS.ProcessEnv = process.env): void {
  // cdktf reads the same variable.
  const program = env['TERRAFORM_BINARY_NAME'] ?? 'terraform';
  const { error, stdout } = spawnSync(program, ['version', '-json'], { env, encoding: 'utf8' });
  if (error !== undefined) {
    throw new PropsError([`${program} was not found: ${REMEDY}`]);
  }
  const version = /"terraform_version":\s*"(\d+)\.(\d+)\.([^"]+)"/.exec(stdout);
  if (version === null) {
    throw new PropsError([`${program} version -json said nothing about its version: ${REMEDY}`]);
  }
  const [, major, minor, patch] = version;
  const isOld = Number(major) < NEEDED[0] || (Number(major) === NEEDED[0] && Number(minor) < NEEDED[1]);
  if (isOld) {
    throw new PropsError([
      `${program} ${major}.${minor}.${patch} is too old: the API key stays out of the state only since Terraform ${NEEDED.join('.')}; ${REMEDY}`,
    ]);
  }
}
