/** The old process, as the new one sees it: see protocol.ts. */
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { messageOf } from '../../errors/message-of.js';
import { type FromNew, type FromOld, type Inherited, PROTOCOL, SUCCESSOR_VARIABLE } from './protocol.js';

/** It answers at once; one that hangs is as good as gone. */
const ANSWER_MS = 10_000;

type Message<T extends FromOld['type']> = Extract<FromOld, { type: T }>;

export class Predecessor {
  readonly #listeners = new Map<number, Server>();
  readonly #came = new Map<FromOld['type'], (message: FromOld) => void>();
  readonly #hello: Promise<Message<'hello'>>;
  #isOpen = false;
  #onConnection: (port: number, connection: Socket) => void = (_port, connection) => connection.destroy();
  /** Rejects when the old process goes, or gives up, before this one has taken over. */
  readonly lost: Promise<never>;
  readonly #gone: Promise<void>;

  /** Undefined in a process that nobody has started to take over. */
  static connect(): Predecessor | undefined {
    const version = process.env[SUCCESSOR_VARIABLE];
    // An engine's process is no successor.
    Reflect.deleteProperty(process.env, SUCCESSOR_VARIABLE);
    if (version === undefined || process.send === undefined) return undefined;
    if (version !== PROTOCOL)
      throw new Error(`the service that runs hands over by protocol ${version}, this one by ${PROTOCOL}`);
    return new Predecessor();
  }

  private constructor() {
    this.#hello = this.#next('hello');
    this.#gone = new Promise((resolve) => process.once('disconnect', resolve));
    this.lost = this.#gone.then(() => {
      if (this.#isOpen) return new Promise<never>(() => undefined);
      throw new Error('the process that was to hand over has ended, or has given up');
    });
    this.lost.catch(() => undefined);
    process.on('message', (message: FromOld, socket: unknown) => {
      if (message.type === 'listener') this.#listeners.set(message.port, socket as Server);
      else if (message.type === 'connection') this.#onConnection(message.port, socket as Socket);
      else this.#came.get(message.type)?.(message);
    });
    // Alone it keeps no process alive.
    process.channel?.unref();
  }

  /** What its engines take, in bytes. */
  async residentBytes(): Promise<number> {
    return (await this.#within(this.#hello)).residentBytes;
  }

  /** One line for whoever waits for the reload. */
  say(text: string): void {
    this.#send({ type: 'say', text });
  }

  /** Has it end its answers and its engines. Resolves when their memory is free, within `limitMs`. */
  async makeRoom(limitMs: number): Promise<void> {
    const room = this.#next('room');
    this.#send({ type: 'make-room' });
    await this.#within(room, limitMs);
  }

  /** The sockets of these ports, as far as it listens there. */
  async listeners(ports: readonly number[]): Promise<Inherited> {
    const all = this.#next('listeners');
    this.#send({ type: 'loaded', ports });
    await this.#within(all);
    return this.#listeners;
  }

  /**
   * This process answers in its place now. Resolves when it accepts connections no more; those that it has kept aside go
   * to `accept`.
   */
  async opened(accept: (port: number, connection: Socket) => void): Promise<void> {
    this.#onConnection = accept;
    const left = this.#next('left');
    this.#isOpen = true;
    this.#send({ type: 'open' });
    await Promise.race([left, this.#gone, sleep(ANSWER_MS, undefined, { ref: false })]);
  }

  /** Tells it why this process cannot take over. Resolves to whether it is there to write that down. */
  async failed(error: unknown): Promise<boolean> {
    if (this.#isOpen || !process.connected) return false;
    const reason = messageOf(error);
    return new Promise((resolve) => {
      const message: FromNew = { type: 'failed', reason };
      process.send?.(message, undefined, undefined, (problem) => resolve(problem === null));
    });
  }

  /** Its answers are to end as this one's do; resolves when it has ended, or after `limitMs`. */
  async end(limitMs: number): Promise<void> {
    if (!process.connected) return;
    this.#send({ type: 'hurry' });
    await Promise.race([this.#gone, sleep(limitMs, undefined, { ref: false })]);
  }

  close(): void {
    if (process.connected) process.disconnect();
  }

  #next<T extends FromOld['type']>(type: T): Promise<Message<T>> {
    return new Promise((resolve) => this.#came.set(type, (message) => resolve(message as Message<T>)));
  }

  async #within<T>(answer: Promise<T>, limitMs = ANSWER_MS): Promise<T> {
    const late = new AbortController();
    const limit = sleep(limitMs, undefined, { signal: late.signal }).then((): never => {
      throw new Error(`the process that hands over did not answer in ${limitMs / 1000} s`);
    });
    try {
      return await Promise.race([answer, this.lost, limit]);
    } finally {
      late.abort();
      limit.catch(() => undefined);
    }
  }

  #send(message: FromNew): void {
    // A channel that is closed shows in `lost`.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }
}
