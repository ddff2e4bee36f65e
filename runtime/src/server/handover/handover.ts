/** A running service that is asked for a reload: it has a new process take its place, and retires. */
import type { Server } from 'node:net';

import type { Environment } from '../../config/environment.js';
import { availableMemory, mebibytes } from '../../engine/memory.js';
import { messageOf } from '../../errors/message-of.js';
import type { Logger } from '../../log/logger.js';
import { enginesBytes } from '../../serving/beside.js';
import type { ModelSwitch } from '../../serving/model-switch.js';
import type { ServiceManager } from '../systemd.js';
import { openReloadSocket, reloadSocketPath, type ReloadOrder } from './reload-socket.js';
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

const MEMORY_INTERVAL_MS = 500;
const LEAST_FREE_BYTES = 64 * 1024 * 1024;

export interface HandoverOptions extends RoomOptions {
  readonly env: Environment;
  readonly modelSwitch: ModelSwitch;
  readonly manager: ServiceManager;
  readonly log: Logger;
  /** How long running answers may take to end. */
  readonly limitMs: number;
  /** The same once the new process is told to end, too. */
  readonly hurriedMs: number;
}

export class Handover {
  readonly #options: HandoverOptions;
  readonly #ending = new AbortController();
  #socket: Server | undefined;
  #successor: Successor | undefined;
  #isRunning = false;
  readonly #limit = new AbortController();
  readonly #room: Room;
  #retired: Promise<void> = Promise.resolve();
  #onLeft: () => void = () => undefined;
  /** Resolves when another process has taken over. */
  readonly left = new Promise<void>((resolve) => (this.#onLeft = resolve));

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#room = new Room(options);
  }

  /** Connections wait, and so does whoever asks whether all is well. */
  get hasMadeRoom(): boolean {
    return this.#room.isMade;
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

  /** What runs has ended, or has had its time. */
  get retired(): Promise<void> {
    return this.#retired;
  }

  close(): void {
    this.#ending.abort(new Error('the service is told to end'));
    this.#socket?.close();
    this.#successor?.close();
  }

  async #reload(order: ReloadOrder, say: (text: string) => void, signal: AbortSignal): Promise<void> {
    if (this.#isRunning) throw new Error('another reload is under way');
    const { modelSwitch, models, server, log } = this.#options;
    const letGo = modelSwitch.hold();
    this.#isRunning = true;
    const tell = (text: string) => {
      log.log('INF', `reload: ${text}`);
      say(text);
    };
    try {
      tell(`a new process starts beside this one: ${order.program}`);
      this.#successor = await Successor.start({
        command: [order.program, 'serve', '--config', order.configFile],
        env: successorEnvironment(order.env, this.#options.env),
        residentBytes: await enginesBytes(models),
        listeners: server.listeners,
        say: tell,
        makeRoom: () => this.#room.make(this.#options.hurriedMs),
        leave: () => this.#leave(),
        signal: AbortSignal.any([signal, this.#ending.signal]),
      });
      void this.#successor.hurried.then(() => this.#retireIn(this.#options.hurriedMs));
    } catch (error) {
      log.log('ERR', `reload: this process goes on: ${messageOf(error)}`);
      await this.#room.takeBack();
      letGo();
      this.#isRunning = false;
      throw error;
    }
  }

  /** Returns when no connection comes here any more. */
  async #leave(): Promise<void> {
    const { manager, server, limitMs } = this.#options;
    await manager.resign();
    // The new process makes one of its own in the same place.
    this.#socket?.close();
    this.#retired = server.retire(this.#limit.signal);
    // What still waits inside waits for an engine that is gone.
    this.#retireIn(this.#room.isMade ? 0 : limitMs);
    this.#watchMemory();
    this.#onLeft();
  }

  #retireIn(ms: number): void {
    setTimeout(() => this.#limit.abort(), ms).unref();
  }

  /** The new process's conversations grow: before the kernel takes an engine, the last answers here end with what they have. */
  #watchMemory(): void {
    const timer = setInterval(() => {
      void availableMemory().then((free) => {
        if (free === undefined || free.bytes >= LEAST_FREE_BYTES || this.#limit.signal.aborted) return;
        this.#options.log.log(
          'WRN',
          `reload: only ${mebibytes(free.bytes)} are free: answers of the old process end`,
        );
        this.#limit.abort();
      });
    }, MEMORY_INTERVAL_MS).unref();
    this.#limit.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }
}

/** What `bot reload` brings, but for what systemd tells the service alone. */
function successorEnvironment(given: Environment, own: Environment): Environment {
  const ofUnit = OF_THE_UNIT.map((name) => [name, own[name]]);
  // The first is of this process, and `bot reload` is told the second one.
  return { ...given, ...Object.fromEntries(ofUnit), WATCHDOG_PID: undefined, MAINPID: undefined };
}
