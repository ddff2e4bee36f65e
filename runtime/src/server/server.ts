/** The HTTP service around its models: opens the ports, says whether it is ready, drains. */
import { setTimeout as sleep } from 'node:timers/promises';

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
import type { Inherited } from './handover/inherited.js';
import { listen, type Listener } from './listen.js';
import { orAfter } from './or-after.js';
import type { ModelSwitch } from '../serving/model-switch.js';
import type { ServedModels } from '../serving/served-models.js';

/** How often a server looks whether something is still under way. */
const POLL_MS = 50;
const LAST_WORDS_MS = 1000;
/** How long connections without a request are kept by a server that retires. */
const KEPT_OPEN_MS = 3000;

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
  /** Sockets that listen on these ports already. */
  readonly inherited?: Inherited | undefined;
}

export interface RunningServer {
  readonly apiPort: number;
  /** Undefined when the console is switched off. */
  readonly consolePort: number | undefined;
  /** By their ports, for a process that takes over. */
  readonly listeners: ReadonlyMap<number, Listener>;
  isReady(): boolean;
  /** Resolves when no request is under way, or on its way; or when `limit` is aborted. New ones are let in meanwhile. */
  quiet(limit: AbortSignal): Promise<void>;
  /**
   * Takes no new connections, and ends as usual what comes on those that are open, until nothing is inside, or until
   * `limit`; then closes as `close` does. For a process in whose place another one answers already.
   */
  retire(limit: AbortSignal): Promise<void>;
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

  const { inherited } = options;
  const apiPort = options.ports?.api ?? config.network.internal_port;
  const api = await listen(createApiApp(parts), apiPort, 'network.internal_port', inherited?.take(apiPort));
  const listeners: Listener[] = [api];

  let console: Listener | undefined;
  if (consoleDirectory !== undefined && config.network.console_port !== 0) {
    try {
      const consolePort = options.ports?.console ?? config.network.console_port;
      const app = createConsoleApp(parts, consoleDirectory);
      console = await listen(app, consolePort, 'network.console_port', inherited?.take(consolePort));
    } catch (error) {
      await api.close();
      throw error;
    }
    listeners.push(console);
  }

  const closeListeners = async () => {
    const closed = Promise.all(listeners.map((listener) => listener.close()));
    // The last answers are on their way out; whoever does not read them cannot hold up the shutdown.
    const cut = setTimeout(() => listeners.forEach((listener) => listener.closeConnections()), LAST_WORDS_MS);
    // A connection that was given to another process counts among this one's until it ends there.
    await orAfter(2 * LAST_WORDS_MS, closed);
    clearTimeout(cut);
  };

  const quiet = async (limit: AbortSignal) => {
    const isBusy = () => models.inside > 0 || listeners.some((listener) => listener.isExpecting());
    // Once more after a pause: what was accepted last is seen by then.
    for (let quietLooks = 0; quietLooks < 2 && !limit.aborted; await sleep(POLL_MS))
      quietLooks = isBusy() ? 0 : quietLooks + 1;
  };

  return {
    apiPort: api.port,
    consolePort: console?.port,
    listeners: new Map(listeners.map((listener) => [listener.port, listener])),
    isReady,
    quiet,
    async retire(limit) {
      const allLeft = Promise.all(listeners.map((listener) => listener.leave()));
      await quiet(limit);
      // Connections that are kept open: most of those in use bring a request, and end with its answer.
      await orAfter(limit.aborted ? 0 : KEPT_OPEN_MS, allLeft);
      closing = true;
      await models.drain(0);
      await closeListeners();
    },
    async close(limitMs) {
      closing = true;
      // Connections stay open for the answers under way, and for probes, which now say "not ready".
      await models.drain(limitMs);
      await closeListeners();
    },
  };
}
