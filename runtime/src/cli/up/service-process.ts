/** `bot serve` as a child of `bot up`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { noteworthy } from './noteworthy.js';
import { KEY_VARIABLE } from './run-folder.js';

/** How much of the log is kept for the case that the service fails. */
const KEPT_LINES = 20;
const POLL_INTERVAL_MS = 50;

export interface ServiceOptions {
  /** Compiled entry point of the `bot` command. */
  readonly bot: string;
  /** Compiled lifeline.ts. */
  readonly lifeline: string;
  readonly configFile: string;
  readonly folder: string;
  readonly apiKey: string;
  readonly port: number;
}

/** As in runtime/bin/bot, which starts the service on a server. */
const YOUNG_GENERATION = '--max-semi-space-size=2';

export class ServiceProcess {
  /** Resolves when the process has ended, to its exit code; a signal counts as 1. */
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #port: number;
  #hasEnded = false;
  /** What a person should see, until there is somebody to show it to. */
  readonly #unshown: string[] = [];
  #show = (line: string): void => void this.#unshown.push(line);

  constructor(options: ServiceOptions) {
    this.#port = options.port;
    this.#child = spawn(
      process.execPath,
      [YOUNG_GENERATION, '--import', options.lifeline, options.bot, 'serve', '--config', options.configFile],
      {
        env: { ...process.env, [KEY_VARIABLE]: options.apiKey, BOT_UP_FOLDER: options.folder },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        // A process group of its own: Ctrl-C then reaches it once, from here. Twice would end it without draining.
        detached: true,
      },
    );
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#keep(error.message);
        resolve(1);
      });
      this.#child.once('close', (code) => resolve(code ?? 1));
    });
    void this.ended.then(() => (this.#hasEnded = true));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface(stream).on('line', (line) => this.#keep(line));
    }
  }

  /** The end of what it wrote. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  /** Passes on what a person should see, of the start too. */
  showNoteworthyLines(show: (line: string) => void): void {
    this.#show = show;
    for (const line of this.#unshown.splice(0)) show(line);
  }

  /** True once the model has answered; false when the process ended before that. */
  async becomesReady(): Promise<boolean> {
    while (!this.#hasEnded) {
      if (await this.#isReady()) return true;
      await Promise.race([sleep(POLL_INTERVAL_MS), this.ended]);
    }
    return false;
  }

  /** Asks for an orderly end; a second time ends it at once. */
  stop(): void {
    if (!this.#hasEnded) this.#child.kill('SIGTERM');
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/readyz`, {
        signal: AbortSignal.timeout(2_000),
      });
      await answer.body?.cancel();
      return answer.ok;
    } catch {
      return false;
    }
  }

  #keep(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    const shown = noteworthy(line);
    if (shown !== undefined) this.#show(shown);
  }
}
