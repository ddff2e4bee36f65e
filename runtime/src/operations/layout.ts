/** Where things lie on a machine. Everything hangs below one root, so that a copy can be worked on elsewhere. */
import { join, resolve } from 'node:path';

export interface Layout {
  readonly root: string;
  /** Settings and TLS files. */
  readonly settings: string;
  readonly configFile: string;
  /** Values for `${VAR}` in the configuration: the unit's EnvironmentFile. */
  readonly environmentFile: string;
  readonly certificate: string;
  /** The site that the bootstrap gives nginx. */
  readonly nginx: string;
  /** What the service keeps: the register of tokens, the access policy. */
  readonly state: string;
  readonly logs: string;
  readonly models: string;
  /** One folder for each unpacked bundle; `current` links to the one that runs. */
  readonly releases: string;
  readonly current: string;
  readonly backups: string;
  /** Held while something changes the installation: one upgrade, restore or switch of models at a time. */
  readonly lock: string;
}

export function layoutAt(root = '/'): Layout {
  const at = (...parts: string[]) => join(resolve(root), ...parts);
  return {
    root: resolve(root),
    settings: at('etc/bot'),
    configFile: at('etc/bot/config.yaml'),
    environmentFile: at('etc/bot/environment'),
    certificate: at('etc/bot/tls/cert.pem'),
    nginx: at('etc/nginx/conf.d/bot.conf'),
    state: at('var/lib/bot'),
    logs: at('var/log/bot'),
    models: at('opt/bot/models'),
    releases: at('opt/bot/releases'),
    current: at('opt/bot/current'),
    backups: at('var/backups/bot'),
    lock: at('opt/bot/operation'),
  };
}
