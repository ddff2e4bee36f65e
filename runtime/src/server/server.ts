/** The HTTP service around its models: opens the ports, says whether it is ready, drains. */
import { ApiKeys } from '../access/api-keys.js';
import { bearerAuth } from '../access/bearer-auth.js';
import { FailedLogins } from '../access/failed-logins.js';
import type { TokenRegister } from '../access/token-register.js';
import { createApiApp, createConsoleApp } from '../api/apps.js';
import type { ApiParts } from '../api/router.js';
import type { BotConfig } from '../config/schema.js';
import type { Logger } from '../log/logger.js';
import type { LogRing } from '../log/sinks.js';
import { createMetrics, type Metrics } from '../metrics/metrics.js';
import type { PolicyStore } from '../policy/store.js';
import { listen, type Listener } from './listen.js';
import type { ModelSwitch } from '../serving/model-switch.js';
import type { ServedModels } from '../serving/served-models.js';

export interface ServerOptions {
  readonly config: BotConfig;
  readonly models: ServedModels;
  /** Without it, models cannot be switched. */
  readonly modelSwitch?: ModelSwitch;
  readonly keys: ApiKeys;
  readonly register?: TokenRegister | undefined;
  readonly policy: PolicyStore;
  readonly log: Logger;
  readonly ring: LogRing;
  readonly version: string;
  /** The console's static files. Without it there is no console, whatever the port. */
  readonly consoleDirectory?: string;
  /** See Metrics. */
  readonly recordRequest?: Metrics['recordRequest'];
  /** For tests: 0 takes any free port. Default: the configuration's. */
  readonly ports?: { readonly api: number; readonly console: number };
}

export interface RunningServer {
  readonly apiPort: number;
  /** Undefined when the console is switched off. */
  readonly consolePort: number | undefined;
  isReady(): boolean;
  /**
   * Not ready from now on; takes no new work, lets running answers end for up to `limitMs`, then closes the ports.
   * The engines are the caller's to stop.
   */
  close(limitMs: number): Promise<void>;
}

/** Listens at once: until the default model is ready, chats get 503 and probes tell the truth. @throws PortError */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, models, keys, register, policy, log, ring, version, consoleDirectory } = options;
  let closing = false;
  const isReady = () => !closing && models.default.engine.status().state === 'ready';

  const parts: ApiParts = {
    config,
    models,
    modelSwitch: options.modelSwitch,
    authenticate: bearerAuth({ keys, register, failures: new FailedLogins() }),
    register,
    policy,
    metrics: createMetrics({ models, version, recordRequest: options.recordRequest }),
    log,
    ring,
    version,
    startedAt: Math.floor(Date.now() / 1000),
    isReady,
  };

  const apiPort = options.ports?.api ?? config.network.internal_port;
  const api = await listen(createApiApp(parts), apiPort, 'network.internal_port');
  const listeners: Listener[] = [api];

  let console: Listener | undefined;
  if (consoleDirectory !== undefined && config.network.console_port !== 0) {
    try {
      const consolePort = options.ports?.console ?? config.network.console_port;
      console = await listen(createConsoleApp(parts, consoleDirectory), consolePort, 'network.console_port');
    } catch (error) {
      await api.close();
      throw error;
    }
    listeners.push(console);
  }

  return {
    apiPort: api.port,
    consolePort: console?.port,
    isReady,
    async close(limitMs) {
      closing = true;
      // Connections stay open for the answers under way, and for probes, which now say "not ready".
      await models.drain(limitMs);
      const closed = Promise.all(listeners.map((listener) => listener.close()));
      // The last answers are on their way out; whoever does not read them cannot hold up the shutdown.
      const cut = setTimeout(() => listeners.forEach((listener) => listener.closeConnections()), 1000);
      await closed;
      clearTimeout(cut);
    },
  };
}
