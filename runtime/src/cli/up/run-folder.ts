/** A private folder for one run of `bot up`, with the configuration file that the service reads. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dump } from 'js-yaml';

export interface RunFolder {
  readonly path: string;
  readonly configFile: string;
  remove(): void;
}

export interface LocalService {
  readonly port: number;
  readonly consolePort: number;
  readonly modelPath: string;
}

/** The variable that hands the key to the service. The same name as in the deployment guide's configuration. */
export const KEY_VARIABLE = 'GENERATED_KEY';

export function createRunFolder(service: LocalService, env: NodeJS.ProcessEnv): RunFolder {
  // The runtime directory is the user's own and in memory, where there is one. mkdtemp makes it 0700.
  const path = mkdtempSync(join(env['XDG_RUNTIME_DIR'] || tmpdir(), 'botstack-up-'));
  const configFile = join(path, 'config.yaml');
  writeFileSync(configFile, renderConfig({ ...service, stateDirectory: path }), { mode: 0o600 });
  return { path, configFile, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The same format as /etc/bot/config.yaml on an instance. */
export function renderConfig({
  port,
  consolePort,
  modelPath,
  stateDirectory,
}: LocalService & { readonly stateDirectory: string }): string {
  const config = {
    service: { name: 'botstack-local' },
    network: { internal_port: port, console_port: consolePort, ...unusedExternalPort(port, consolePort) },
    security: { api_key: `\${${KEY_VARIABLE}}` },
    model_path: modelPath,
    state_directory: stateDirectory,
  };
  return `# Written by \`bot up\` for one run. The key is made anew each time and stands in no file.\n${dump(config)}`;
}

/** nginx's port, which nobody opens here: named only where its default would be one of the ports in use. */
function unusedExternalPort(...used: readonly number[]): { external_port?: number } {
  const isFree = (port: number) => !used.includes(port);
  return isFree(18789) ? {} : { external_port: [18790, 18791].find(isFree) };
}
