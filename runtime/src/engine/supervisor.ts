import { fork, type ChildProcess } from 'node:child_process';
import { ALL_FREE } from './memory-plan.js';
import { loadLimitSeconds } from './load-limit.js';
import type { ErrorDetails, FromChild, LoadedModel, ToChild } from './protocol.js';
import type { ModelSettings } from './options.js';

export interface SupervisorOptions {
  /** The script that is run as the child. */
  readonly childEntry: string;
  readonly settings: ModelSettings;
  /** Between two pings. @default 2000 ms */
  readonly heartbeatMs?: number;
  /** Pings in a row without an answer before the child counts as hung. @default 5 */
  readonly missedHeartbeats?: number;
  /** The same while it loads, when its event loop is busy for seconds on a slow machine. @default 30 */
  readonly missedHeartbeatsWhileLoading?: number;
  /** From its start until the model has answered; a child that takes longer is killed. @default what its file may take */
  readonly loadLimitMs?: number | undefined;
  /** What the plan of a child after the first says: see MemoryPlan. @default nothing */
  readonly promisedBytes?: (() => Promise<number>) | undefined;
  /** Before the first restart; doubles with each failure in a row. @default 250 ms */
  readonly firstBackoffMs?: number;
  /** @default 30_000 ms */
  readonly longestBackoffMs?: number;
  /** How long a child may take to stop by itself. @default 5000 ms */
  readonly stopMs?: number;
  readonly log: (level: 'INF' | 'WRN' | 'ERR', text: string) => void;
}

export interface SupervisorEvents {
  ready(model: LoadedModel): void;
  /** What is not for the supervisor alone. */
  message(message: FromChild): void;
  /** The child is gone; another one is started after `restartInMs`. */
  lost(reason: string, restartInMs: number): void;
  /** There will be no other child, unless `start` is called again. */
  failed(message: string, details: ErrorDetails): void;
}

/** A step this long is no step: the longest measured is under a second. */
const HUNG_STEP_MS = 120_000;
/** A child that was ready this long before it died starts the backoff from the beginning. */
const HEALTHY_MS = 60_000;
/** A child that dies while it loads the model does so each time, as a rule: out of memory, a damaged file. */
const MOST_DEATHS_WHILE_LOADING = 3;

type Optional = 'loadLimitMs' | 'promisedBytes';

/** Keeps one child alive: starts it, notices when it dies or hangs, and starts another one. */
export class Supervisor {
  readonly #options: Required<Omit<SupervisorOptions, Optional>> & Pick<SupervisorOptions, Optional>;
  readonly #events: SupervisorEvents;
  /** Those of the next child. */
  #settings: ModelSettings;
  #child: ChildProcess | undefined;
  #readySince: number | undefined;
  #everReady = false;
  #failuresInARow = 0;
  #unanswered = 0;
  #killReason: string | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #loadLimit: NodeJS.Timeout | undefined;
  #restart: NodeJS.Timeout | undefined;
  #ended = false;
  /** No other child, unless `start` is called again. */
  #hasGivenUp = false;
  #restarts = 0;

  constructor(options: SupervisorOptions, events: SupervisorEvents) {
    this.#options = {
      heartbeatMs: 2000,
      missedHeartbeats: 5,
      missedHeartbeatsWhileLoading: 30,
      firstBackoffMs: 250,
      longestBackoffMs: 30_000,
      stopMs: 5000,
      ...options,
    };
    this.#events = events;
    this.#settings = options.settings;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * `memory` holds for the first child. Those after it find the others loaded, but not all that is theirs taken: so they
   * get no more than the first had room for, and the prompt cache leaves the others what they will still take.
   */
  start(memory = ALL_FREE): void {
    if (this.#hasGivenUp) this.#restarts++;
    this.#hasGivenUp = false;
    const child = fork(this.#options.childEntry, {
      env: childEnvironment(),
      // Nothing of the parent's own flags (a debugger's port, a loader). What is large here is not V8's.
      execArgv: ['--max-semi-space-size=2', '--max-old-space-size=256'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#unanswered = 0;
    this.#killReason = undefined;
    this.#readySince = undefined;
    const lastWords = new LastLines();
    child.stderr?.setEncoding('utf8').on('data', (text: string) => lastWords.add(text));
    child.on('message', (message: FromChild) => this.#onMessage(message));
    child.on('error', (error) => {
      this.#options.log('ERR', `engine process: ${error.message}`);
      // One that could not be started (no process or memory left) never exits.
      if (child.pid === undefined) this.#onExit(child, error.message, lastWords);
    });
    child.on('exit', (code, signal) => this.#onExit(child, describeExit(code, signal), lastWords));
    this.send({ type: 'load', settings: this.#settings, memory });
    this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeatMs);
    const limitMs = this.#options.loadLimitMs ?? 1000 * loadLimitSeconds(this.#options.settings.modelPath);
    // A child can answer pings for ever and never load: a file on a disk that hangs is read on another thread.
    this.#loadLimit = setTimeout(
      () => this.#kill(`it was not ready ${limitMs / 1000} s after its start`),
      limitMs,
    );
  }

  /** Messages to a child that is gone are dropped: whoever waits for an answer hears `lost`. */
  send(message: ToChild): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined);
  }

  async stop(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.send({ type: 'stop' });
    const kill = setTimeout(() => child.kill('SIGKILL'), this.#options.stopMs);
    await exited;
    clearTimeout(kill);
  }

  #onMessage(message: FromChild): void {
    switch (message.type) {
      case 'ready':
        clearTimeout(this.#loadLimit);
        this.#readySince = performance.now();
        this.#everReady = true;
        this.#settings = { ...this.#settings, ...message.fitted };
        this.#events.ready(message.model);
        break;
      case 'pong':
        this.#unanswered = 0;
        if (message.stepMs > HUNG_STEP_MS)
          this.#kill(`an evaluation did not end in ${HUNG_STEP_MS / 1000} s`);
        this.#events.message(message);
        break;
      case 'unusable':
        this.#fail(message.message, message.details);
        break;
      case 'log':
        this.#options.log(message.level, message.text);
        break;
      case 'events':
      case 'stats':
        this.#events.message(message);
        break;
    }
  }

  #beat(): void {
    // Pings are counted, not seconds: after a suspend or a stall of this process no time was lost by the child.
    const { missedHeartbeats, missedHeartbeatsWhileLoading } = this.#options;
    if (
      this.#unanswered >= (this.#readySince === undefined ? missedHeartbeatsWhileLoading : missedHeartbeats)
    ) {
      this.#kill('it did not answer any more');
      return;
    }
    this.#unanswered++;
    this.send({ type: 'ping' });
  }

  #kill(reason: string): void {
    this.#killReason ??= reason;
    this.#child?.kill('SIGKILL');
  }

  #onExit(child: ChildProcess, how: string, lastWords: LastLines): void {
    if (child !== this.#child) return;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#loadLimit);
    this.#child = undefined;
    if (this.#ended || this.#hasGivenUp) return;
    const reason = this.#killReason === undefined ? how : `it was killed because ${this.#killReason}`;
    const said = lastWords.text === '' ? '' : `; its last words: ${lastWords.text}`;
    if (this.#readySince !== undefined && performance.now() - this.#readySince > HEALTHY_MS)
      this.#failuresInARow = 0;
    this.#failuresInARow++;
    if (this.#readySince === undefined) {
      const deaths = this.#everReady ? MOST_DEATHS_WHILE_LOADING : 1;
      if (this.#failuresInARow > deaths || !this.#everReady) {
        this.#fail(
          `the engine process died while it loaded ${this.#options.settings.modelPath} (${reason}${said}); ` +
            this.#remedyOfLoading(),
          {},
        );
        return;
      }
    }
    const wait = Math.min(
      this.#options.longestBackoffMs,
      this.#options.firstBackoffMs * 2 ** (this.#failuresInARow - 1),
    );
    this.#options.log(
      'ERR',
      `the engine process ended (${reason}${said}); starting another one in ${wait} ms`,
    );
    this.#restarts++;
    this.#restart = setTimeout(() => void this.#startAnother(), wait);
    this.#events.lost(reason, wait);
  }

  async #startAnother(): Promise<void> {
    const promisedBytes = await this.#options.promisedBytes?.();
    if (!this.#ended) this.start({ ...ALL_FREE, ...(promisedBytes === undefined ? {} : { promisedBytes }) });
  }

  #remedyOfLoading(): string {
    return this.#killReason === undefined
      ? 'if it was SIGKILL the machine ran out of memory: take a smaller model or context, or a larger machine'
      : 'look whether the disk is slow or hangs; engine.load_timeout_seconds allows more time';
  }

  #fail(message: string, details: ErrorDetails): void {
    this.#hasGivenUp = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#loadLimit);
    this.#child?.kill('SIGKILL');
    this.#events.failed(message, details);
  }
}

/** The child gets what it needs and no more: the parent's environment may hold the API key. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {
    NODE_ENV: 'production',
    // For a copy of the weights (see repack/). /tmp is memory on Debian 13 and others: a model would be in it twice.
    TMPDIR: process.env['TMPDIR'] || '/var/tmp',
    // Evaluation that hops between the pool's threads runs at a third of the speed (see child.ts).
    UV_THREADPOOL_SIZE: '1',
    // Weights and cache on pages of 2 MiB, where glibc and the kernel can: decoding took 11 % (1B) to 18 % (135M)
    // less processor time. One arena instead of one a thread: threads come and go with each evaluation.
    GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1',
  };
  for (const name of ['PATH', 'HOME', 'LANG', 'LD_LIBRARY_PATH']) {
    if (process.env[name] !== undefined) environment[name] = process.env[name];
  }
  return environment;
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exit code ${code ?? '?'}` : `signal ${signal}`;
}

/** What a process wrote last, in one line. */
class LastLines {
  #text = '';

  add(text: string): void {
    this.#text = (this.#text + text).slice(-1000);
  }

  get text(): string {
    return this.#text.trim().split('\n').slice(-5).join(' | ');
  }
}
