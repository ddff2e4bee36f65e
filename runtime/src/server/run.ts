/** `bot serve`: opens what the service is made of, in the order in which things can go wrong. */
import { ApiKeys } from '../access/api-keys.js';
import { keySource } from '../access/key-source.js';
import { openCaches } from '../cache/open.js';
import type { Environment } from '../config/environment.js';
import { checkPaths, ConfigError } from '../config/load.js';
import { modelsOf } from '../config/models.js';
import type { BotConfig } from '../config/schema.js';
import { availableMemory } from '../engine/memory.js';
import { SwitchableEngine } from '../engine/switchable-engine.js';
import { messageOf } from '../errors/message-of.js';
import { createLogger } from '../log/logger.js';
import { createLogRing, stdoutSink } from '../log/sinks.js';
import type { RequestFigures } from '../metrics/cloudwatch.js';
import type { PolicyStore } from '../policy/store.js';
import { engineFactory } from '../serving/engine-factory.js';
import { ModelSwitch } from '../serving/model-switch.js';
import { ServedModels } from '../serving/served-models.js';
import type { Predecessor } from './handover/predecessor.js';
import type { Inherited } from './handover/inherited.js';
import { live } from './life.js';
import { openLogFile, openMetrics, openPolicy, openRegister, watchCertificate } from './parts.js';
import { startServer } from './server.js';
import { onEndOrders } from './signals.js';
import { connectServiceManager } from './systemd.js';

export interface RunOptions {
  readonly config: BotConfig;
  /** For messages. */
  readonly configFile: string;
  readonly env: Environment;
  readonly version: string;
  readonly consoleDirectory?: string;
  /** The process in whose place this one is to serve. */
  readonly predecessor?: Predecessor | undefined;
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

    const access = await openPolicy(options, log);
    policy = access;
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
    const open = (inherited?: Inherited) => {
      const certificate = watchCertificate(config, log);
      cleanUp.push(() => certificate?.close());
      const metrics = openMetrics(configFile, config, models, certificate);
      cleanUp.push(() => metrics?.close());
      const recordRequest = metrics && ((figures: RequestFigures) => metrics.record(figures));
      const parts = {
        models,
        modelSwitch,
        keys,
        register,
        policy: access,
        log,
        ring,
        recordRequest,
        inherited,
      };
      return startServer({ ...options, ...parts });
    };
    const manager = connectServiceManager(options.env, onProblem);
    cleanUp.push(() => manager.close());

    return await live({
      ...options,
      open,
      models,
      factory,
      modelSwitch,
      manager,
      log,
      ended: orders.first,
      limitMs,
    });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const isTold = await options.predecessor?.failed(error);
    if (isTold !== true) log.log('ERR', `the service cannot run: ${messageOf(error)}`);
    return 1;
  } finally {
    for (const step of cleanUp.reverse()) await step();
  }
}
