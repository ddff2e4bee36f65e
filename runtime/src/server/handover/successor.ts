/** The new process, as the old one sees it: see protocol.ts. */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Environment } from '../../config/environment.js';
import type { Listener } from '../listen.js';
import { type FromNew, type FromOld, PROTOCOL, SUCCESSOR_VARIABLE } from './protocol.js';

export interface SuccessorOptions {
  /** `bot serve` of the release that is to run, with its flags. */
  readonly command: readonly string[];
  readonly env: Environment;
  /** What this process's engines take, in bytes. */
  readonly residentBytes: number;
  /** Of this process, by their ports. */
  readonly listeners: ReadonlyMap<number, Listener>;
  /** Ends this process's engines; new connections are kept aside from then on. Resolves to what it still takes, in bytes. */
  readonly makeRoom: () => Promise<number>;
  /** Gets one line for each step. */
  readonly say: (text: string) => void;
  /** Accepts no connections any more: the new one does. */
  readonly leave: () => Promise<void>;
  /** Whoever asked does not wait any more, or this process is to end. */
  readonly signal: AbortSignal;
}

/** Its last words, when its channel breaks off, come on standard error. */
const ENDED = 'the new process ended before it answered; `bot logs` says why';

const ENDING_MS = 10_000;
const KILLED_MS = 2000;
const POLL_MS = 50;

/**
 * The shell says which process it has started, and ends at once; that one's parent is then the first process of the
 * machine, systemd. One that is not its child systemd would not wait for when the service is stopped.
 */
const DETACHED = ['/bin/sh', '-c', '"$@" 4>&- & echo "$!" >&4', 'sh'] as const;

export class Successor {
  readonly #child: ChildProcess;
  readonly #options: SuccessorOptions;
  #pid: number | undefined;
  /** Resolves when the new one is to end, and this one with it; or when the new one has ended. */
  readonly hurried: Promise<void>;

  /**
   * Starts a new service and gives it this one's place.
   *
   * @returns when this process has left
   * @throws Error with the reason, once the new one has ended; nothing has changed then, but that there may be no engine
   */
  static async start(options: SuccessorOptions): Promise<Successor> {
    options.signal.throwIfAborted();
    const successor = new Successor(options);
    try {
      await successor.#takeOver();
      return successor;
    } catch (error) {
      await successor.#end();
      throw error;
    }
  }

  private constructor(options: SuccessorOptions) {
    this.#options = options;
    const [shell, ...words] = [...DETACHED, ...options.command];
    this.#child = spawn(shell, words, {
      env: { ...options.env, [SUCCESSOR_VARIABLE]: PROTOCOL },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    });
    this.#child.stdio[4]?.on('data', (line: Buffer) => (this.#pid = Number(line.toString())));
    this.hurried = new Promise((resolve) => {
      this.#child.once('disconnect', resolve);
      this.#child.on('message', ({ type }: FromNew) => {
        if (type === 'hurry') resolve();
      });
    });
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  /** Alone it ends by itself, and its engines with it, unless it hangs. Resolves when it has. */
  async #end(): Promise<void> {
    this.close();
    const pid = this.#pid;
    if (pid === undefined || (await hasEnded(pid, ENDING_MS))) return;
    process.kill(pid, 'SIGKILL');
    await hasEnded(pid, KILLED_MS);
  }

  async #takeOver(): Promise<void> {
    const { signal, residentBytes } = this.#options;
    const child = this.#child;
    let stopListening = (): void => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(signal.reason as Error);
        const onDisconnect = () => reject(new Error(ENDED));
        const onMessage = (message: FromNew) => {
          // From here on systemd may take it for the service: two would be one too many.
          if (message.type === 'loaded') signal.removeEventListener('abort', onAbort);
          this.#answer(message).then((isOver) => isOver && resolve(), reject);
        };
        stopListening = () => {
          signal.removeEventListener('abort', onAbort);
          child.off('disconnect', onDisconnect).off('message', onMessage);
        };
        signal.addEventListener('abort', onAbort);
        child.on('disconnect', onDisconnect).on('message', onMessage).once('error', reject);
        this.#send({ type: 'hello', residentBytes });
      });
    } finally {
      // What it still says is nobody's business any more.
      stopListening();
    }
  }

  /** Resolves to true when the new one has this one's place. */
  async #answer(message: FromNew): Promise<boolean> {
    const { say, makeRoom, leave } = this.#options;
    switch (message.type) {
      case 'say':
        say(message.text);
        return false;
      case 'make-room':
        this.#send({ type: 'room', residentBytes: await makeRoom() });
        return false;
      case 'loaded':
        this.#giveListeners(message.ports);
        return false;
      case 'open':
        await leave();
        this.#giveConnections();
        this.#send({ type: 'left' });
        return true;
      case 'failed':
        throw new Error(message.reason);
      case 'hurry':
        return false;
    }
  }

  #giveListeners(ports: readonly number[]): void {
    for (const port of ports) {
      const listener = this.#options.listeners.get(port);
      if (listener !== undefined) this.#send({ type: 'listener', port }, listener.socket);
    }
    this.#send({ type: 'listeners' });
  }

  #giveConnections(): void {
    for (const [port, listener] of this.#options.listeners) {
      for (const connection of listener.giveHeld()) this.#send({ type: 'connection', port }, connection);
    }
  }

  #send(message: FromOld, socket?: Server | Socket): void {
    // A channel that is closed shows as `disconnect`.
    this.#child.send(message, socket, () => undefined);
  }
}

async function hasEnded(pid: number, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
