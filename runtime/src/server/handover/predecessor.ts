/** The old process, as the new one sees it: see protocol.ts. */
import type { Server, Socket } from 'node:net';

import { messageOf } from '../../errors/message-of.js';
import { orAfter } from '../or-after.js';
import { Inherited } from './inherited.js';
import { type FromNew, type FromOld, PROTOCOL, SUCCESSOR_VARIABLE } from './protocol.js';

/** It answers at once; one that hangs is as good as gone. */
const ANSWER_MS = 10_000;

type Message<T extends FromOld['type']> = Extract<FromOld, { type: T }>;

export class Predecessor {
  readonly #inherited = new Inherited();
  readonly #came = new Map<FromOld['type'], (message: FromOld) => void>();
  readonly #hello: Promise<Message<'hello'>>;
  readonly #version: string;
  #isOver = false;
  #onConnection: (port: number, connection: Socket) => void = (_port, connection) => connection.destroy();
  /** Rejects when the old process goes, or gives up, before this one has taken over. */
  readonly lost: Promise<never>;
  readonly #gone: Promise<void>;

  /** Undefined in a process that nobody has started to take over. */
  static connect(): Predecessor | undefined {
    const version = process.env[SUCCESSOR_VARIABLE];
    // An engine's process is no successor.
    Reflect.deleteProperty(process.env, SUCCESSOR_VARIABLE);
    return version === undefined || process.send === undefined ? undefined : new Predecessor(version);
  }

  private constructor(version: string) {
    this.#version = version;
    this.#hello = this.#next('hello');
    this.#gone = new Promise((resolve) => process.once('disconnect', resolve));
    this.lost = this.#gone.then(() => {
      if (this.#isOver) return new Promise<never>(() => undefined);
      throw new Error('the process that was to hand over has ended, or has given up');
    });
    this.lost.catch(() => undefined);
    process.on('message', (message: FromOld, socket: Server | Socket | undefined) => {
      if (message.type === 'listener') {
        if (socket !== undefined) this.#inherited.add(message.port, socket as Server);
      } else if (message.type === 'connection') {
        // Undefined where the client has gone on the way.
        if (socket !== undefined) this.#onConnection(message.port, socket as Socket);
      } else this.#came.get(message.type)?.(message);
    });
    // Alone it keeps no process alive.
    process.channel?.unref();
  }

  /** What its engines take, in bytes. @throws Error where it speaks another version of the protocol, or does not answer */
  async residentBytes(): Promise<number> {
    if (this.#version !== PROTOCOL)
      throw new Error(
        `the service that runs hands over by protocol ${this.#version}, this release by ${PROTOCOL}: restart it instead ` +
          '(bot upgrade --restart, or sudo systemctl restart bot)',
      );
    return (await this.#within(this.#hello)).residentBytes;
  }

  /** One line for whoever waits for the reload. */
  say(text: string): void {
    this.#send({ type: 'say', text });
  }

  /**
   * Has it end its answers and its engines. Resolves, within `limitMs`, when their memory is free, to what the process
   * itself still takes, in bytes.
   */
  async makeRoom(limitMs: number): Promise<number> {
    const room = this.#next('room');
    this.#send({ type: 'make-room' });
    return (await this.#within(room, limitMs)).residentBytes;
  }

  /** The sockets of these ports, as far as it listens there. */
  async listeners(ports: readonly number[]): Promise<Inherited> {
    const all = this.#next('listeners');
    this.#send({ type: 'loaded', ports });
    await this.#within(all);
    return this.#inherited;
  }

  /** From now on this process answers, whatever becomes of the old one. */
  takeOver(): void {
    this.#isOver = true;
  }

  /** Resolves when it accepts connections no more; those that it has kept aside go to `accept`. */
  async leave(accept: (port: number, connection: Socket) => void): Promise<void> {
    this.#onConnection = accept;
    const left = this.#next('left');
    this.#send({ type: 'open' });
    await orAfter(ANSWER_MS, left, this.#gone);
  }

  /** Tells it why this process cannot take over. Resolves to whether it is there to write that down. */
  async failed(error: unknown): Promise<boolean> {
    if (this.#isOver || !process.connected) return false;
    const reason = messageOf(error);
    return new Promise((resolve) => {
      const message: FromNew = { type: 'failed', reason };
      process.send?.(message, undefined, undefined, (problem) => resolve(problem === null));
    });
  }

  /** Resolves when it has ended by itself, or after `limitMs`. */
  async awaitEnd(limitMs: number): Promise<void> {
    await orAfter(limitMs, this.#gone);
  }

  /** Its answers are to end soon. Resolves when it has ended, or after `limitMs`. */
  async end(limitMs: number): Promise<void> {
    if (!process.connected) return;
    this.#send({ type: 'hurry' });
    await this.awaitEnd(limitMs);
  }

  close(): void {
    this.#inherited.close();
    if (process.connected) process.disconnect();
  }

  #next<T extends FromOld['type']>(type: T): Promise<Message<T>> {
    return new Promise((resolve) => this.#came.set(type, (message) => resolve(message as Message<T>)));
  }

  async #within<T>(answer: Promise<T>, limitMs = ANSWER_MS): Promise<T> {
    let isLate = true;
    const inTime = Promise.race([answer, this.lost]).then((given) => {
      isLate = false;
      return given;
    });
    await orAfter(limitMs, inTime);
    if (isLate) throw new Error(`the process that hands over did not answer in ${limitMs / 1000} s`);
    return inTime;
  }

  #send(message: FromNew): void {
    // A channel that is closed shows in `gone`.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  }
}
