/**
 * Looks, before anything else happens, for what a deploy cannot do without. cdktf itself would get as far as
 * `terraform init` and end with "execvp(3) failed".
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { S3Client } from '@aws-sdk/client-s3';

import { ProblemsError } from './problems';

/** Ephemeral values and write-only arguments came with this one. */
const NEEDED = [1, 11] as const;

const REMEDY = `install Terraform ${NEEDED.join('.')} or newer (https://developer.hashicorp.com/terraform/install) and see that it is on PATH`;

/** @throws ProblemsError where Terraform is missing or too old. */
export function checkTerraform(env: NodeJS.ProcessEnv = process.env): void {
  // cdktf reads the same variable.
  const program = env['TERRAFORM_BINARY_NAME'] ?? 'terraform';
  const { error, stdout } = spawnSync(program, ['version', '-json'], { env, encoding: 'utf8' });
  if (error !== undefined) {
    throw new ProblemsError([`${program} was not found: ${REMEDY}`]);
  }
  const version = /"terraform_version":\s*"(\d+)\.(\d+)\.([^"]+)"/.exec(stdout);
  if (version === null) {
    throw new ProblemsError([`${program} version -json said nothing about its version: ${REMEDY}`]);
  }
  const [, major, minor, patch] = version;
  const isOld = Number(major) < NEEDED[0] || (Number(major) === NEEDED[0] && Number(minor) < NEEDED[1]);
  if (isOld) {
    throw new ProblemsError([
      `${program} ${major}.${minor}.${patch} is too old: the API key stays out of the state only since Terraform ${NEEDED.join('.')}; ${REMEDY}`,
    ]);
  }
}

const PATIENCE_MS = 5000;
const REGISTRY = 'https://registry.terraform.io/.well-known/terraform.json';

/**
 * What a deploy is going to miss. Told and not refused, because `cdktf synth` works without; Terraform's own message
 * then says what failed, and these lines what to do.
 *
 * @param outdir where cdktf synthesises to
 */
export async function foresee(
  region: string,
  outdir: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string[]> {
  const notes = await Promise.all([credentialsNote(region), registryNote(outdir, env)]);
  return notes.filter((note) => note !== undefined);
}

async function credentialsNote(region: string): Promise<string | undefined> {
  // A notice about Node's age in the middle of a deploy helps nobody.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const s3 = new S3Client({ region });
  try {
    // Looks where the provider will look: environment, profiles, single sign-on, the machine's own role. Asks nobody.
    await s3.config.credentials();
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return (
      `no AWS credentials were found (${reason}). deploy and destroy need them: run aws configure or aws sso login, ` +
      `or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`
    );
  } finally {
    s3.destroy();
  }
}

/** Terraform fetches the AWS provider from its registry, unless it has it, or is told of another place. */
async function registryNote(outdir: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const elsewhere = [
    join(outdir, 'stacks', 'bot', '.terraform', 'providers'),
    env['TF_CLI_CONFIG_FILE'] ?? join(homedir(), '.terraformrc'),
    join(homedir(), '.terraform.d', 'plugins'),
  ];
  if (elsewhere.some((path) => existsSync(path))) {
    return undefined;
  }
  try {
    await fetch(REGISTRY, { method: 'HEAD', signal: AbortSignal.timeout(PATIENCE_MS) });
    return undefined;
  } catch {
    return (
      `registry.terraform.io does not answer, and Terraform needs the provider hashicorp/aws 5.100.0 from it. ` +
      `Check the network and HTTPS_PROXY, or keep a copy (terraform providers mirror FOLDER on a machine that has a network) ` +
      `and name it in the file of TF_CLI_CONFIG_FILE: provider_installation { filesystem_mirror { path = "FOLDER" } }`
    );
  }
}
