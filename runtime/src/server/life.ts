/** A service from its start to its end: loads its models, says that it is ready, gives its place away or drains. */
import type { Socket } from 'node:net';

import type { BotConfig } from '../config/schema.js';
import type { Environment } from '../config/environment.js';
import type { EngineStatus } from '../engine/engine.js';
import { ALL_FREE } from '../engine/memory-plan.js';
import { counted } from '../errors/counted.js';
import type { Logger } from '../log/logger.js';
import { planBeside } from '../serving/beside.js';
import type { EngineFactory } from '../serving/engine-factory.js';
import type { ModelSwitch } from '../serving/model-switch.js';
import type { ServedModels } from '../serving/served-models.js';
import { startModels } from '../serving/start-models.js';
import { Handover } from './handover/handover.js';
import type { Predecessor } from './handover/predecessor.js';
import type { Inherited } from './handover/inherited.js';
import { Retirement } from './handover/retirement.js';
import type { RunningServer } from './server.js';
import type { EndOrder } from './signals.js';
import type { ServiceManager } from './systemd.js';

/** How long running answers may take to end once the service is told to stop. */
const DRAIN_MS = 25_000;
/** The watchdog's question to the own port must be answered in this time. */
const SELF_CHECK_MS = 5000;

/** For the last words of the process before. */
const LAST_WORDS_MS = 3000;
/** For the process before to end its answers, each with its last words, and its engines. */
const ROOM_MS = DRAIN_MS + 15_000;

export interface LifeOptions {
  readonly config: BotConfig;
  readonly env: Environment;
  /** Opens the ports. @throws PortError */
  readonly open: (inherited?: Inherited) => Promise<RunningServer>;
  readonly models: ServedModels;
  readonly factory: EngineFactory;
  readonly modelSwitch: ModelSwitch;
  readonly manager: ServiceManager;
  readonly log: Logger;
  /** Resolves at the first signal to end. */
  readonly ended: Promise<EndOrder>;
  /** How long an answer may take, in all. */
  readonly limitMs: number;
  /** The process in whose place this one is to serve. */
  readonly predecessor?: Predecessor | undefined;
}

/** From closed ports to closed ports. Whatever happens, the engines are stopped. Resolves to 0. @throws Error why it cannot run */
export async function live(options: LifeOptions): Promise<0> {
  const life = new Life(options);
  try {
    return await life.run();
  } finally {
    await life.stop();
  }
}

class Life {
  readonly #options: LifeOptions;
  readonly #stopping = new AbortController();
  #server: RunningServer | undefined;
  #handover: Handover | undefined;
  /** Whether it is this process that systemd hears of the service. */
  #isInCharge: boolean;
  /** Of the handover, once there is one. */
  #onLeft: (left: Handover['left']) => void = () => undefined;
  readonly #left: Handover['left'] = new Promise((resolve) => (this.#onLeft = resolve));

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#isInCharge = options.predecessor === undefined;
  }

  async run(): Promise<0> {
    const { log, manager, ended, predecessor, limitMs } = this.#options;
    this.#tellOfStates();
    const started = predecessor === undefined ? this.#start() : this.#succeed(predecessor);
    // Where it loses the race it may still reject, which is no news then.
    started.catch(() => undefined);
    try {
      // A signal during the load ends the wait.
      const outcome = await Promise.race([
        ended,
        ...(predecessor === undefined ? [] : [predecessor.lost]),
        started.then(() => ended),
        this.#left,
      ]);
      if (outcome instanceof Retirement) {
        this.#isInCharge = false;
        const limit = `for at most ${limitMs / 1000} s`;
        log.log('INF', `another process has taken over; finishing running answers, ${limit}`);
        await outcome.ended;
        return 0;
      }
      this.#handover?.giveUp();
      log.log('INF', `${outcome.signal}: finishing running answers, for at most ${DRAIN_MS / 1000} s`);
      if (this.#isInCharge) await manager.stopping();
      // Where a reload has made room, what is inside waits for an engine that is gone.
      const drainMs = this.#handover?.hasMadeRoom === true ? 0 : DRAIN_MS;
      // What the process before still answers is part of the service, too.
      const before = this.#isInCharge ? predecessor?.end(DRAIN_MS + LAST_WORDS_MS) : undefined;
      await Promise.all([this.#server?.close(drainMs), before]);
      return 0;
    } catch (error) {
      if (this.#isInCharge) await manager.stopping();
      await this.#server?.close(0);
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#handover?.close();
    await Promise.all(this.#options.models.all.map(({ engine }) => engine.stop()));
    this.#options.log.log('INF', 'stopped');
  }

  /** An engine that fails ends nothing: other models go on, and it is started again. */
  #tellOfStates(): void {
    const { models, manager } = this.#options;
    for (const { engine } of models.all) {
      engine.onState(() => {
        if (this.#isInCharge) void manager.status(statusText(models));
      });
    }
  }

  /** Listens at once: probes are told the truth. */
  async #start(): Promise<void> {
    const { open, models, factory, manager, log } = this.#options;
    const server = (this.#server = await open());
    log.log(
      'INF',
      `listening on http://127.0.0.1:${server.apiPort}${consoleNote(server)}; the model is being loaded`,
    );
    await startModels(models, { factory, log, signal: this.#stopping.signal });
    const summary = this.#announce(server);
    manager.startWatchdog(() => this.#isWell(server));
    await manager.ready(summary);
    await this.#openHandover(server);
  }

  /** Listens when it can answer: until then the process that runs does. */
  async #succeed(predecessor: Predecessor): Promise<void> {
    const { open, models, factory, manager, log, config } = this.#options;
    const { memory, text } = await planBeside(models, factory, await predecessor.residentBytes());
    let plan = memory;
    if (plan === undefined) {
      predecessor.say(
        `the memory does not hold the models twice (${text}): requests wait while running answers end and the processes change places`,
      );
      plan = { ...ALL_FREE, soonBytes: await predecessor.makeRoom(ROOM_MS) };
    } else {
      predecessor.say(`the memory holds the models twice (${text}): they are loaded beside those that run`);
    }
    await startModels(models, {
      factory,
      log,
      signal: this.#stopping.signal,
      memory: plan,
      defaultMustAnswer: true,
    });
    const { internal_port, console_port } = config.network;
    const server = (this.#server = await open(await predecessor.listeners([internal_port, console_port])));
    this.#isInCharge = true;
    predecessor.takeOver();
    await manager.takeOver(this.#announce(server));
    manager.startWatchdog(() => this.#isWell(server));
    await predecessor.leave((port, connection) => accept(server, port, connection));
    await this.#openHandover(server);
  }

  /** Worth a watchdog ping. While a reload has requests wait, the own port does not answer. */
  async #isWell(server: RunningServer): Promise<boolean> {
    return this.#handover?.excusesSilence === true || isWell(server);
  }

  /**
   * systemd takes a service that listens for a started one, though its remote service is away: it would end one that
   * does not report for long, and with it models that answer.
   */
  #announce(server: RunningServer): string {
    const { models } = this.#options;
    if (models.default.engine.status().state !== 'ready') {
      const waiting = `not ready: ${statusText(models)}; port ${server.apiPort}`;
      this.#options.log.log('WRN', waiting);
      return waiting;
    }
    const each = models.all.map(({ engine: { model } }) => {
      return `${model.id}, ${counted(model.sequences, 'sequence')} of ${model.contextSize} tokens`;
    });
    const summary = `ready: ${each.join('; ')}, port ${server.apiPort}`;
    this.#options.log.log('INF', summary);
    return summary;
  }

  async #openHandover(server: RunningServer): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#handover = new Handover({ ...this.#options, server, hurriedMs: DRAIN_MS });
    this.#onLeft(this.#handover.left);
    await this.#handover.open();
  }
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

/** The own port answers. An engine that has failed is started again, which a new process would do no better. */
async function isWell(server: RunningServer): Promise<boolean> {
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

function consoleNote(server: RunningServer): string {
  return server.consolePort === undefined ? '' : `, console on http://127.0.0.1:${server.consolePort}`;
}

/** One that nobody listens for any more (another port, by the new configuration) ends as it would have without a reload. */
function accept(server: RunningServer, port: number, connection: Socket): void {
  const listener = server.listeners.get(port);
  if (listener === undefined) connection.destroy();
  else listener.accept(connection);
}
