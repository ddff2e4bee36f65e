import { EngineError } from './engine.js';
import type {
  Embeddings,
  EmbedRequest,
  Engine,
  EngineState,
  EngineStatus,
  GenerateEvent,
  GenerateRequest,
  ModelInfo,
} from './engine.js';
import type { MemoryPlan } from './memory-plan.js';
import { EventQueue } from './event-queue.js';
import { lazily } from './lazily.js';
import { resolveModelId, resolveModelSettings, type LocalEngineOptions } from './options.js';
import type {
  EngineStats,
  ErrorDetails,
  FromChild,
  LoadedModel,
  RequestEvent,
  ToChild,
  VectorEvent,
} from './protocol.js';
import { Supervisor, type SupervisorOptions } from './supervisor.js';
import { VectorList } from './vector-list.js';

type Tuning = Partial<Omit<SupervisorOptions, 'childEntry' | 'settings' | 'log'>>;

/** The two ends of a promise that somebody waits for. */
interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

interface OpenRequest {
  /** Where its events go. */
  readonly sink: EventSink;
  started: boolean;
}

/** EventQueue and VectorList. */
interface EventSink {
  push(event: GenerateEvent | VectorEvent): void;
  fail(error: unknown): void;
}

/** An Engine whose work is done by a supervised child process. */
export class SupervisedEngine implements Engine {
  readonly #supervisor: Supervisor;
  readonly #log: LocalEngineOptions['log'];
  readonly #requests = new Map<number, OpenRequest>();
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  #nextId = 1;
  #state: EngineState = 'loading';
  #reason: string | undefined;
  #model: ModelInfo;
  #starting: Waiting<void> | undefined;
  #statsWaiting: Waiting<EngineStats>[] = [];
  #promptCache: EngineStatus['promptCache'];
  #drafts: EngineStatus['drafts'];

  constructor(options: LocalEngineOptions, childEntry: string, tuning: Tuning = {}) {
    const settings = resolveModelSettings(options);
    this.#log = options.log;
    this.#model = {
      id: resolveModelId(options),
      contextSize: settings.contextSize,
      sequences: settings.sequences,
      notes: [],
    };
    const { loadTimeoutSeconds, promisedBytes } = options;
    const loadLimitMs = loadTimeoutSeconds === undefined ? undefined : loadTimeoutSeconds * 1000;
    this.#supervisor = new Supervisor(
      { loadLimitMs, promisedBytes, ...tuning, childEntry, settings, log: options.log },
      {
        ready: (model) => this.#onReady(model),
        message: (message) => this.#onMessage(message),
        lost: (reason) => this.#onLost(reason),
        failed: (message, details) => this.#onFailed(message, details),
      },
    );
  }

  get model(): ModelInfo {
    return this.#model;
  }

  /** The engine's process, for operators and tests. */
  get pid(): number | undefined {
    return this.#supervisor.pid;
  }

  /** Also another time, once it has failed. */
  async start(memory?: MemoryPlan): Promise<void> {
    if (this.#state === 'failed') this.#setState('loading');
    await new Promise<void>((resolve, reject) => {
      this.#starting = { resolve, reject };
      this.#supervisor.start(memory);
    });
  }

  status(): EngineStatus {
    let running = 0;
    for (const request of this.#requests.values()) if (request.started) running++;
    return {
      state: this.#state,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      running,
      waiting: this.#requests.size - running,
      restarts: this.#supervisor.restarts,
      ...(this.#promptCache === undefined ? {} : { promptCache: this.#promptCache }),
      ...(this.#drafts === undefined ? {} : { drafts: this.#drafts }),
    };
  }

  /** Counters of the child that runs now, for tests and tuning. @throws EngineError when it is gone before it answers */
  async stats(): Promise<EngineStats> {
    this.#requireReady();
    return new Promise((resolve, reject) => {
      this.#statsWaiting.push({ resolve, reject });
      this.#supervisor.send({ type: 'stats' });
    });
  }

  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    return lazily(() => {
      const queue = new EventQueue();
      const close = this.#order(
        queue,
        (id) => ({ type: 'generate', id, request }),
        signal,
        (reason) => queue.abort(reason),
      );
      return queue.events(close);
    });
  }

  async embed({ inputs }: EmbedRequest, signal: AbortSignal): Promise<Embeddings> {
    const list = new VectorList();
    const close = this.#order(
      list,
      (id) => ({ type: 'embed', id, inputs }),
      signal,
      (reason) => list.fail(reason),
    );
    try {
      return await list.whole;
    } finally {
      close();
    }
  }

  /** Sends a request whose events go to `sink`. To be closed when nobody waits for them any more. */
  #order(
    sink: EventSink,
    message: (id: number) => ToChild,
    signal: AbortSignal,
    abort: (reason: unknown) => void,
  ): () => void {
    signal.throwIfAborted();
    this.#requireReady();
    const id = this.#nextId++;
    this.#requests.set(id, { sink, started: false });
    this.#supervisor.send(message(id));
    const onAbort = (): void => abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    return () => {
      signal.removeEventListener('abort', onAbort);
      // Still in the table: it has not ended. It stays there, and counts, until its sequence is free.
      if (this.#requests.has(id)) this.#supervisor.send({ type: 'cancel', id });
    };
  }

  onState(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#setState('stopped');
    this.#interruptAll('the engine was stopped');
    this.#starting?.reject(new EngineError('engine_unavailable', 'the engine was stopped while it started'));
    this.#starting = undefined;
    await this.#supervisor.stop();
  }

  #requireReady(): void {
    if (this.#state === 'ready') return;
    const why = this.#reason === undefined ? '' : `: ${this.#reason}`;
    throw new EngineError('engine_unavailable', `the engine is ${this.#state}${why}; try again later`);
  }

  #onReady(model: LoadedModel): void {
    this.#model = { ...this.#model, ...model };
    for (const note of model.notes) this.#log('INF', note);
    this.#setState('ready');
    this.#starting?.resolve();
    this.#starting = undefined;
  }

  #onMessage(message: FromChild): void {
    if (message.type === 'events') {
      for (const event of message.events) this.#onEvent(event);
    } else if (message.type === 'stats') {
      this.#statsWaiting.shift()?.resolve(message.stats);
    } else if (message.type === 'pong') {
      this.#promptCache = message.promptCache;
      this.#drafts = message.drafts;
    }
  }

  #onEvent([id, event]: RequestEvent): void {
    const request = this.#requests.get(id);
    if (request === undefined) return;
    switch (event.type) {
      case 'start':
        request.started = true;
        request.sink.push(event);
        break;
      case 'vector':
        if (event.isLast) this.#requests.delete(id);
        request.sink.push(event);
        break;
      case 'text':
      case 'tool-call':
      case 'tool-arguments':
        request.sink.push(event);
        break;
      case 'end':
        this.#requests.delete(id);
        request.sink.push(event);
        break;
      case 'error':
        this.#requests.delete(id);
        request.sink.fail(new EngineError(event.code, event.message, event.details));
        break;
      case 'cancelled':
        this.#requests.delete(id);
        break;
    }
  }

  #onLost(reason: string): void {
    this.#promptCache = undefined;
    this.#drafts = undefined;
    this.#interruptAll(`the engine process ended (${reason})`);
    this.#setState('restarting', reason);
  }

  #onFailed(message: string, details: ErrorDetails): void {
    const error = new EngineError('model_unusable', message, details);
    this.#interruptAll(message);
    this.#setState('failed', message);
    this.#starting?.reject(error);
    this.#starting = undefined;
  }

  #interruptAll(why: string): void {
    const interrupted = [...this.#requests.values()];
    this.#requests.clear();
    for (const { sink } of interrupted) sink.fail(new EngineError('engine_interrupted', why));
    for (const { reject } of this.#statsWaiting.splice(0)) reject(new EngineError('engine_interrupted', why));
  }

  #setState(state: EngineState, reason?: string): void {
    this.#state = state;
    this.#reason = reason;
    const status = this.status();
    for (const listener of this.#listeners) listener(status);
  }
}
