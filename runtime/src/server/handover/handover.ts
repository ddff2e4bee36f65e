/** A running service that is asked for a reload: it has a new process take its place, and retires. */
import type { Server } from 'node:net';

import type { Environment } from '../../config/environment.js';
import { messageOf } from '../../errors/message-of.js';
import { enginesBytes } from '../../serving/beside.js';
import type { ModelSwitch } from '../../serving/model-switch.js';
import type { ServiceManager } from '../systemd.js';
import { openReloadSocket, reloadSocketPath, type ReloadOrder } from './reload-socket.js';
import { Retirement, type RetirementOptions } from './retirement.js';
import { Room, type RoomOptions } from './room.js';
import { Successor } from './successor.js';

/** What systemd tells the main process of itself: `bot reload`, which brings the rest, is told less. */
const OF_THE_UNIT = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'RUNTIME_DIRECTORY',
  'JOURNAL_STREAM',
  'INVOCATION_ID',
];

/** The unit gives a reload 220 s; then the engines of this process are started again. */
const LONGEST_MS = 420_000;

export interface HandoverOptions extends RoomOptions, RetirementOptions {
  readonly env: Environment;
  readonly modelSwitch: ModelSwitch;
  readonly manager: ServiceManager;
  /** How long running answers may take to end. */
  readonly limitMs: number;
}

export class Handover {
  readonly #options: HandoverOptions;
  readonly #ending = new AbortController();
  readonly #room: Room;
  #socket: Server | undefined;
  #successor: Successor | undefined;
  #isRunning = false;
  #startedAt = 0;
  #onLeft: (retirement: Retirement) => void = () => undefined;
  #onBroken: (error: unknown) => void = () => undefined;
  /** Resolves when another process has taken over. Rejects where none has, and this one cannot answer any more. */
  readonly left: Promise<Retirement>;

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#room = new Room(options);
    this.left = new Promise((resolve, reject) => {
      this.#onLeft = resolve;
      this.#onBroken = reject;
    });
    this.left.catch(() => undefined);
  }

  /** Connections wait, and so does whoever asks whether all is well. */
  get hasMadeRoom(): boolean {
    return this.#room.isMade;
  }

  /** The same, for so long as a reload may take: one that hangs is a fault. */
  get excusesSilence(): boolean {
    return this.#room.isMade && performance.now() - this.#startedAt < LONGEST_MS;
  }

  /** Takes orders from now on, where there is a place to take them at. */
  async open(): Promise<void> {
    const path = reloadSocketPath(this.#options.env);
    if (path === undefined) return;
    try {
      this.#socket = await openReloadSocket(path, (order, say, signal) => this.#reload(order, say, signal));
    } catch (error) {
      this.#options.log.log('WRN', `no reload without a pause: ${messageOf(error)}`);
    }
  }

  /** The service is told to end: no more orders, and what is under way is given up. */
  giveUp(): void {
    this.#ending.abort(new Error('the service is told to end'));
    this.#socket?.close();
  }

  close(): void {
    this.giveUp();
    this.#successor?.close();
  }

  async #reload(order: ReloadOrder, say: (text: string) => void, signal: AbortSignal): Promise<void> {
    if (this.#isRunning) throw new Error('another reload is under way');
    const { modelSwitch, models, server, log, hurriedMs } = this.#options;
    const letGo = modelSwitch.hold();
    this.#isRunning = true;
    this.#startedAt = performance.now();
    const tell = (text: string) => {
      log.log('INF', `reload: ${text}`);
      say(text);
    };
    let retirement: Retirement | undefined;
    try {
      tell(`a new process starts beside this one: ${order.program}`);
      this.#successor = await Successor.start({
        command: [order.program, 'serve', '--config', order.configFile],
        env: successorEnvironment(order.env, this.#options.env),
        residentBytes: await enginesBytes(models),
        listeners: server.listeners,
        say: tell,
        makeRoom: () => this.#room.make(hurriedMs),
        leave: async () => {
          retirement = await this.#leave();
        },
        signal: AbortSignal.any([signal, this.#ending.signal]),
      });
      void this.#successor.hurried.then(() => retirement?.hurry());
    } catch (error) {
      log.log('ERR', `reload: this process goes on: ${messageOf(error)}`);
      if (retirement === undefined && !this.#ending.signal.aborted) await this.#goOn(letGo);
      throw error;
    }
  }

  async #goOn(letGo: () => void): Promise<void> {
    try {
      await this.#room.takeBack();
    } catch (error) {
      if (!this.#ending.signal.aborted)
        this.#onBroken(new Error(`the engine did not come back: ${messageOf(error)}`, { cause: error }));
      return;
    }
    letGo();
    this.#isRunning = false;
  }

  /** Returns when no connection comes here any more. */
  async #leave(): Promise<Retirement> {
    const { manager, limitMs } = this.#options;
    // First: the new process makes one of its own in the same place.
    this.#socket?.close();
    await manager.resign();
    // What still waits inside waits for an engine that is gone.
    const retirement = new Retirement(this.#options, this.#room.isMade ? 0 : limitMs);
    this.#onLeft(retirement);
    return retirement;
  }
}

/** What `bot reload` brings, but for what systemd tells the service alone. */
function successorEnvironment(given: Environment, own: Environment): Environment {
  const ofUnit = OF_THE_UNIT.map((name) => [name, own[name]]);
  // The first is of this process, and `bot reload` is told the second one.
  return { ...given, ...Object.fromEntries(ofUnit), WATCHDOG_PID: undefined, MAINPID: undefined };
}
