/** Where Terraform finds the AWS provider without the registry, if there is a mirror on this machine. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The version that @cdktf/provider-aws 20.1.0 is generated from. */
export const PROVIDER_VERSION = '5.100.0';

const PROVIDER = 'registry.terraform.io/hashicorp/aws';

/** The root of a file system mirror that holds the provider: named in the CLI configuration, implied, or in /opt. */
export function findProviderMirror(): string | undefined {
  const opt = existsSync('/opt') ? readdirSync('/opt').map((name) => join('/opt', name)) : [];
  return [...configuredMirrors(), ...impliedMirrors(), ...opt].find((folder) => holdsProvider(folder));
}

/**
 * Writes a Terraform CLI configuration for one run, and returns the variables that make Terraform use it: the mirror
 * where there is one, no version check, no questions.
 */
export function terraformEnvironment(file: string, mirror = findProviderMirror()): NodeJS.ProcessEnv {
  const environment = {
    CHECKPOINT_DISABLE: '1',
    CI: 'true',
    TF_IN_AUTOMATION: '1',
    DISABLE_VERSION_CHECK: '1',
  };
  if (!mirror) return environment;
  writeFileSync(
    file,
    `provider_installation {\n  filesystem_mirror {\n    path    = ${JSON.stringify(mirror)}\n    include = ["${PROVIDER}"]\n  }\n  direct {\n    exclude = ["${PROVIDER}"]\n  }\n}\n`,
  );
  return { ...environment, TF_CLI_CONFIG_FILE: file };
}

function configuredMirrors(): string[] {
  const file = process.env.TF_CLI_CONFIG_FILE ?? join(homedir(), '.terraformrc');
  if (!existsSync(file)) return [];
  return [...readFileSync(file, 'utf8').matchAll(/filesystem_mirror\s*\{[^}]*?path\s*=\s*"([^"]+)"/g)].map(
    ([, path]) => path ?? '',
  );
}

/** https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories */
function impliedMirrors(): string[] {
  return [
    join(homedir(), '.terraform.d', 'plugins'),
    join(process.env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'terraform', 'plugins'),
    '/usr/local/share/terraform/plugins',
    '/usr/share/terraform/plugins',
  ];
}

function holdsProvider(folder: string): boolean {
  const path = join(folder, PROVIDER);
  if (!existsSync(path)) return false;
  // Unpacked (a folder named by the version) or packed (a zip that carries it in its name).
  return readdirSync(path).some(
    (name) => name === PROVIDER_VERSION || name.includes(`_${PROVIDER_VERSION}_`),
  );
}
