/** What a service is made of, opened as its configuration says. */
import { join } from 'node:path';

import type { ApiKeys } from '../access/api-keys.js';
import { REGISTER_FILE } from '../access/register-file.js';
import { TokenRegister } from '../access/token-register.js';
import { ConfigError, stateDirectory } from '../config/load.js';
import type { Environment } from '../config/environment.js';
import type { BotConfig } from '../config/schema.js';
import type { Logger } from '../log/logger.js';
import { openFileSink, type FileSink } from '../log/sinks.js';
import { CloudWatchMetrics } from '../metrics/cloudwatch.js';
import { PolicyError } from '../policy/read.js';
import { POLICY_FILE, PolicyStore } from '../policy/store.js';
import { POLICY_WORKER } from '../policy/worker-entry.js';
import type { ServedModels } from '../serving/served-models.js';
import { openCopy } from '../state-copy/open.js';
import { CertificateWatch } from './certificate-watch.js';

type Configured = Readonly<{ config: BotConfig; env: Environment }>;

export async function openRegister(
  { config, env }: Configured,
  keys: ApiKeys,
  log: Logger,
): Promise<TokenRegister | undefined> {
  const directory = stateDirectory(config);
  if (directory === undefined) {
    log.log('WRN', 'no folder to keep anything in (`state_directory`): access tokens cannot be revoked');
    return undefined;
  }
  const register = await TokenRegister.open({
    directory,
    encryption: config.security.encryption,
    keys,
    copy: openCopy(config, env, REGISTER_FILE),
    log: (level, text) => log.log(level, text),
  });
  register.follow();
  return register;
}

export async function openPolicy({ config, env }: Configured, log: Logger): Promise<PolicyStore> {
  const directory = stateDirectory(config);
  try {
    const policy = await PolicyStore.open({
      directory,
      maxRequestSeconds: config.limits.max_request_seconds,
      copy: openCopy(config, env, POLICY_FILE),
      workerEntry: POLICY_WORKER,
      isService: true,
      log: (level, text) => log.log(level, text),
    });
    policy.follow();
    return policy;
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new ConfigError(join(directory ?? '', POLICY_FILE), error.problems);
  }
}

export function watchCertificate(config: BotConfig, log: Logger): CertificateWatch | undefined {
  const port = config.network.tls_port;
  if (port === undefined) return undefined;
  const watch = new CertificateWatch({ port, log: (level, text) => log.log(level, text) });
  watch.start();
  return watch;
}

/** Undefined where the configuration does not ask for it. */
export function openMetrics(
  configFile: string,
  config: BotConfig,
  models: ServedModels,
  certificate: CertificateWatch | undefined,
): CloudWatchMetrics | undefined {
  const { directory, cloudwatch_metrics: isWanted } = config.logging;
  const sink = isWanted ? openLogFile(configFile, directory, 'metrics.log') : undefined;
  return (
    sink &&
    new CloudWatchMetrics({
      deployment: config.service.name,
      sink,
      isReady: () => models.default.engine.status().state === 'ready',
      certificateDaysLeft: () => certificate?.daysLeft,
    })
  );
}

export function openLogFile(
  configFile: string,
  directory: string | undefined,
  name = 'bot.log',
): FileSink | undefined {
  if (directory === undefined) return undefined;
  const path = join(directory, name);
  try {
    return openFileSink(path, (text) => process.stderr.write(`${text}\n`));
  } catch (error) {
    const message = (error as Error).message;
    throw new ConfigError(configFile, [
      `\`logging.directory\`: cannot write to ${path} (${message}); check its owner`,
    ]);
  }
}
