/** One installation of the service: where it lies, how it is configured, who restarts it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseEnv } from 'node:util';

import { loadConfig } from '../config/load.js';
import type { Environment } from '../config/environment.js';
import type { BotConfig } from '../config/schema.js';
import { withFileLock } from '../files/file-lock.js';
import { whileInterruptible, type Interruption } from './interruption.js';
import type { Layout } from './layout.js';
import type { ServiceManager } from './service-manager.js';

export interface Installation {
  readonly layout: Layout;
  readonly configFile: string;
  readonly manager: ServiceManager;
  /** Gets one line for each step. */
  readonly say: (line: string) => void;
  /** Gets one line for what somebody may not want. */
  readonly warn: (line: string) => void;
}

/** The environment that the service sees: this process's, and the unit's EnvironmentFile over it. */
export function serviceEnvironment(layout: Layout, env: Environment): Environment {
  try {
    return { ...env, ...parseEnv(readFileSync(layout.environmentFile, 'utf8')) };
  } catch {
    // Most installations have none; one that may not be read shows in the variable that is missing.
    return env;
  }
}

/** @throws ConfigError */
export function installedConfig({
  layout,
  configFile,
}: Pick<Installation, 'layout' | 'configFile'>): BotConfig {
  return loadConfig(configFile, serviceEnvironment(layout, process.env));
}

/**
 * Runs `work` while no other command changes this installation. A Ctrl-C or a terminal that goes away does not stop it
 * half way: each of these works ends by itself, in a state that answers.
 */
export function exclusively<T>(installation: Installation, work: () => Promise<T>): Promise<T> {
  return exclusivelyOnceCommitted(installation, ({ commit }) => {
    commit();
    return work();
  });
}

/** The same for a work with a long beginning that changes nothing: until it calls `commit`, a signal ends it. */
export async function exclusivelyOnceCommitted<T>(
  { layout, say }: Installation,
  work: (interruption: Interruption) => Promise<T>,
): Promise<T> {
  if (!existsSync(dirname(layout.lock))) {
    throw new Error(
      `there is no installation below ${layout.root}: ${dirname(layout.lock)} is missing; correct --root`,
    );
  }
  return whileInterruptible(
    (interruption) => withFileLock(layout.lock, () => work(interruption)),
    (signal) => say(`${signal}: this is finished first, or taken back`),
  );
}
