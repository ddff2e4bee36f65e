/** The life of `bot serve`: start in the order in which things can go wrong, run, drain, end. */
import { join } from 'node:path';

import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import { REGISTER_FILE } from '../access/register-file.js';
import { TokenRegister } from '../access/token-register.js';
import { counted } from '../errors/counted.js';
import { messageOf } from '../errors/message-of.js';
import { CertificateWatch } from './certificate-watch.js';
import { CloudWatchMetrics, type RequestFigures } from '../metrics/cloudwatch.js';
import type { Environment } from '../config/environment.js';
import { openCaches } from '../cache/open.js';
import { checkPaths, ConfigError, stateDirectory } from '../config/load.js';
import { modelsOf } from '../config/models.js';
import type { BotConfig } from '../config/schema.js';
import type { EngineStatus } from '../engine/engine.js';
import { createLogger, type Logger } from '../log/logger.js';
import { PolicyError } from '../policy/read.js';
import { POLICY_FILE, PolicyStore } from '../policy/store.js';
import { POLICY_WORKER } from '../policy/worker-entry.js';
import { createLogRing, openFileSink, stdoutSink, type FileSink } from '../log/sinks.js';
import { openCopy } from '../state-copy/open.js';
import { startServer, type RunningServer } from './server.js';
import { onEndOrders, type EndOrder } from './signals.js';
import { availableMemory } from '../engine/memory.js';
import { SwitchableEngine } from '../engine/switchable-engine.js';
import { engineFactory, type EngineFactory } from '../serving/engine-factory.js';
import { ModelSwitch } from '../serving/model-switch.js';
import { ServedModels } from '../serving/served-models.js';
import { startModels } from '../serving/start-models.js';
import { connectServiceManager, type ServiceManager } from './systemd.js';

/** How long running answers may take to end once the service is told to stop. */
const DRAIN_MS = 25_000;
/** The watchdog's question to the own port must be answered in this time. */
const SELF_CHECK_MS = 5000;

export interface RunOptions {
  readonly config: BotConfig;
  /** For messages. */
  readonly configFile: string;
  readonly env: Environment;
  readonly version: string;
  readonly consoleDirectory?: string;
}

/** Runs until a signal or a failure; resolves to 0 or 1. @throws ConfigError before anything is started */
export async function runService(options: RunOptions): Promise<0 | 1> {
  const { config, configFile, version } = options;
  checkPaths(configFile, config);

  const ring = createLogRing();
  const logFile = openLogFile(configFile, config.logging.directory);
  const sinks = [stdoutSink, ring, ...(logFile === undefined ? [] : [logFile])];
  const log = createLogger(sinks, config.logging.level);
  log.log('INF', `bot ${version} starts with ${configFile} (process ${process.pid})`);

  // A reader of standard output that goes away (a pipe, a restarted journal) must not take the service with it.
  process.stdout.on('error', () => undefined);
  // A write beyond the limit on the size of files (ulimit -f) fails, as on a full disk, and does not end the service.
  process.on('SIGXFSZ', () => undefined);

  const cleanUp: (() => void | Promise<void>)[] = [() => logFile?.close()];
  let policy: PolicyStore | undefined;
  const orders = onEndOrders(
    () => logFile?.reopen(),
    () => void policy?.reload(),
  );
  cleanUp.push(orders.dispose);
  try {
    const { source, refreshIntervalMs } = keySource(config, options.env);
    const onProblem = (text: string) => log.log('WRN', text);
    const keys = await ApiKeys.open({ source, refreshIntervalMs, onProblem });
    cleanUp.push(() => keys.close());

    const register = await openRegister(options, keys, log);
    if (register !== undefined) cleanUp.push(() => register.close());

    policy = await openPolicy(options, log);
    cleanUp.push(() => policy?.close());
    const caches = await openCaches(config, keys, version, log);
    cleanUp.push(() => caches.close());

    const modelConfigs = modelsOf(config);
    const factory = engineFactory({
      localModels: modelConfigs.filter(({ path }) => path !== undefined).length,
      // No engine runs before they are made.
      promisedBeside: (key) => models.promisedBeside(key),
      log,
    });
    const parts = modelConfigs.map(async (model) => ({
      config: model,
      engine:
        model.path === undefined
          ? await factory.remote(model)
          : new SwitchableEngine(await factory.local(model)),
      cache: await caches.of(model),
    }));
    const models: ServedModels = new ServedModels(await Promise.all(parts), config.limits.max_queue);
    // Each request ends by itself within its time; a second is for its last words.
    const limitMs = (config.limits.max_request_seconds + 1) * 1000;
    const modelSwitch = new ModelSwitch({
      models,
      factory,
      caches,
      available: availableMemory,
      log,
      limitMs,
    });
    const certificate = watchCertificate(config, log);
    cleanUp.push(() => certificate?.close());
    const metrics = openMetrics(configFile, config, models, certificate);
    cleanUp.push(() => metrics?.close());
    const recordRequest = metrics && ((figures: RequestFigures) => metrics.record(figures));
    const server = await startServer({
      ...options,
      models,
      modelSwitch,
      keys,
      register,
      policy,
      log,
      ring,
      recordRequest,
    });
    const manager = connectServiceManager(options.env, onProblem);
    cleanUp.push(() => manager.close());

    return await serve({ server, models, factory, manager, log, ended: orders.first });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    log.log('ERR', `the service cannot run: ${messageOf(error)}`);
    return 1;
  } finally {
    for (const step of cleanUp.reverse()) await step();
  }
}

interface Parts {
  readonly server: RunningServer;
  readonly models: ServedModels;
  readonly factory: EngineFactory;
  readonly manager: ServiceManager;
  readonly log: Logger;
  /** Resolves at the first signal to end. */
  readonly ended: Promise<EndOrder>;
}

/** From open ports to closed ones. Whatever happens, the engines are stopped. */
async function serve({ server, models, factory, manager, log, ended }: Parts): Promise<0 | 1> {
  log.log(
    'INF',
    `listening on http://127.0.0.1:${server.apiPort}${consoleNote(server)}; the model is being loaded`,
  );
  const stopping = new AbortController();
  const failed = new Promise<never>((_resolve, reject) => {
    for (const model of models.all) {
      model.engine.onState((status) => {
        void manager.status(statusText(models));
        // The default model is what the service is for; without another one it goes on.
        if (status.state !== 'failed') return;
        if (model === models.default) reject(new Error(status.reason ?? 'the engine failed'));
      });
    }
  });
  const started = startModels(models, { factory, log, signal: stopping.signal }).then(() =>
    announceReady(server, models, manager, log),
  );

  try {
    // `failed` and `started` both reject with the reason; a signal during the load ends the wait.
    const order = await Promise.race([ended, failed, started.then(() => ended)]);
    log.log('INF', `${order.signal}: finishing running answers, for at most ${DRAIN_MS / 1000} s`);
    await manager.stopping();
    await server.close(DRAIN_MS);
    return 0;
  } catch (error) {
    await manager.stopping();
    await server.close(0);
    throw error;
  } finally {
    // Those that lose the race may still reject, which is no news then.
    failed.catch(() => undefined);
    started.catch(() => undefined);
    stopping.abort();
    await Promise.all(models.all.map(({ engine }) => engine.stop()));
    log.log('INF', 'stopped');
  }
}

async function announceReady(
  server: RunningServer,
  models: ServedModels,
  manager: ServiceManager,
  log: Logger,
): Promise<void> {
  const each = models.all.map(({ engine: { model } }) => {
    return `${model.id}, ${counted(model.sequences, 'sequence')} of ${model.contextSize} tokens`;
  });
  const summary = `ready: ${each.join('; ')}, port ${server.apiPort}`;
  log.log('INF', summary);
  manager.startWatchdog(() => isWell(server, models));
  await manager.ready(summary);
}

/** For `systemctl status`: the default model's state, and what the others are if not ready. */
function statusText(models: ServedModels): string {
  const text = ({ state, reason }: EngineStatus) => (reason === undefined ? state : `${state}: ${reason}`);
  const others = models.all.flatMap((model) => {
    const status = model.engine.status();
    if (model === models.default || status.state === 'ready') return [];
    return [`${model.engine.model.id} ${text(status)}`];
  });
  return [text(models.default.engine.status()), ...others].join('; ');
}

/** The own port answers and the default model's engine has not given up: worth a watchdog ping. */
async function isWell(server: RunningServer, models: ServedModels): Promise<boolean> {
  if (models.default.engine.status().state === 'failed') return false;
  try {
    const health = await fetch(`http://127.0.0.1:${server.apiPort}/health`, {
      signal: AbortSignal.timeout(SELF_CHECK_MS),
    });
    await health.body?.cancel();
    return health.ok;
  } catch {
    return false;
  }
}

async function openRegister(
  { config, env }: RunOptions,
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

async function openPolicy({ config, env }: RunOptions, log: Logger): Promise<PolicyStore> {
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

function consoleNote(server: RunningServer): string {
  return server.consolePort === undefined ? '' : `, console on http://127.0.0.1:${server.consolePort}`;
}

function watchCertificate(config: BotConfig, log: Logger): CertificateWatch | undefined {
  const port = config.network.tls_port;
  if (port === undefined) return undefined;
  const watch = new CertificateWatch({ port, log: (level, text) => log.log(level, text) });
  watch.start();
  return watch;
}

/** Undefined where the configuration does not ask for it. */
function openMetrics(
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

function openLogFile(
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
