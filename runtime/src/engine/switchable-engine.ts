import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from './engine.js';
import type {
  Embeddings,
  EmbedRequest,
  Engine,
  EngineStatus,
  GenerateEvent,
  GenerateRequest,
  ModelInfo,
} from './engine.js';
import type { MemoryPlan } from './memory-plan.js';

const POLL_MS = 50;

/** A local engine: the process that holds its memory is known. */
export interface LocalEngine extends Engine {
  readonly pid: number | undefined;
}

/**
 * An engine whose place another one can take while requests come and go: new ones go to the new engine, running ones
 * end on the old one. Where both do not fit at once, requests wait while they change places.
 */
export class SwitchableEngine implements LocalEngine {
  #current: LocalEngine;
  /** Still ends what runs on it. */
  #retired: LocalEngine | undefined;
  /** On its way to become the current one. */
  #candidate: LocalEngine | undefined;
  /** Requests wait for it while no engine is there. */
  #gate: Promise<void> | undefined;
  #openGate: () => void = () => undefined;
  #held = 0;
  #stopped = false;
  #unsubscribe: () => void;
  readonly #listeners = new Set<(status: EngineStatus) => void>();

  constructor(engine: LocalEngine) {
    this.#current = engine;
    this.#unsubscribe = engine.onState(() => this.#tell());
  }

  get model(): ModelInfo {
    return this.#current.model;
  }

  get pid(): number | undefined {
    return this.#current.pid;
  }

  start(memory?: MemoryPlan): Promise<void> {
    return this.#current.start(memory);
  }

  status(): EngineStatus {
    const status = this.#current.status();
    const retired = this.#retired?.status();
    return {
      ...status,
      state: this.#gate === undefined || this.#stopped ? status.state : 'switching',
      running: status.running + (retired?.running ?? 0),
      waiting: status.waiting + (retired?.waiting ?? 0) + this.#held,
    };
  }

  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent> {
    // Handed through as it is: nothing is to stand between an engine and its tokens.
    return this.#gate === undefined
      ? this.#current.generate(request, signal)
      : this.#generateLater(request, signal);
  }

  async embed(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings> {
    await this.#passGate(signal);
    return this.#current.embed(request, signal);
  }

  onState(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const engines = [this.#current, this.#retired, this.#candidate].filter((engine) => engine !== undefined);
    await Promise.all(engines.map((engine) => engine.stop()));
  }

  /**
   * Starts the new engine beside the current one, and changes over once it has answered. Where it does not, nothing
   * has changed.
   *
   * @returns when the new one takes requests; `ended` resolves when the old one has ended what it had, or after `limitMs`
   */
  async replaceBeside(
    next: LocalEngine,
    { memory, prove, limitMs }: { memory: MemoryPlan; prove: Prove; limitMs: number },
  ): Promise<{ readonly ended: Promise<void> }> {
    await this.#startCandidate(next, memory, prove);
    const old = this.#current;
    this.#use(next);
    this.#retired = old;
    const ended = drained(old, limitMs).then(async () => {
      await old.stop();
      if (this.#retired === old) this.#retired = undefined;
    });
    return { ended };
  }

  /**
   * Ends the current engine when its running requests are done, and starts the new one in the memory that it leaves.
   * Meanwhile requests wait. Where the new one does not answer, `again` makes an engine like the old one.
   *
   * @throws what the new engine said; the old model answers again then, or the status says that it does not
   */
  async replaceInPlace(
    next: LocalEngine,
    {
      memory,
      prove,
      again,
      limitMs,
    }: {
      memory: MemoryPlan;
      prove: Prove;
      again: () => Promise<LocalEngine>;
      limitMs: number;
    },
  ): Promise<void> {
    this.#closeGate();
    try {
      const old = this.#current;
      await drained(old, limitMs);
      this.#unsubscribe();
      await old.stop();
      try {
        await this.#startCandidate(next, memory, prove);
        this.#use(next);
      } catch (error) {
        if (this.#stopped) throw error;
        const returned = await again();
        this.#use(returned);
        await returned.start(memory);
        throw error;
      }
    } finally {
      this.resume();
    }
  }

  /** Ends the engine that is there, whatever runs on it. Requests wait, until `resume`. */
  async suspend(): Promise<void> {
    this.#closeGate();
    this.#unsubscribe();
    await this.#current.stop();
  }

  /** Takes an engine in the place of the one that `suspend` ended; `start` starts it. @throws EngineError once stopped */
  replaceSuspended(next: LocalEngine): void {
    if (this.#stopped) throw new EngineError('engine_unavailable', 'the service is shutting down');
    this.#use(next);
  }

  /** Lets requests pass again. */
  resume(): void {
    this.#gate = undefined;
    this.#openGate();
    this.#tell();
  }

  #closeGate(): void {
    this.#gate = new Promise((resolve) => (this.#openGate = resolve));
    this.#tell();
  }

  async #startCandidate(next: LocalEngine, memory: MemoryPlan, prove: Prove): Promise<void> {
    this.#candidate = next;
    try {
      if (this.#stopped) throw new EngineError('engine_unavailable', 'the service is shutting down');
      await next.start(memory);
      await prove(next);
      if (this.#stopped) throw new EngineError('engine_unavailable', 'the service is shutting down');
    } catch (error) {
      await next.stop();
      throw error;
    } finally {
      this.#candidate = undefined;
    }
  }

  #use(engine: LocalEngine): void {
    this.#unsubscribe();
    this.#current = engine;
    this.#unsubscribe = engine.onState(() => this.#tell());
    this.#tell();
  }

  async *#generateLater(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    await this.#passGate(signal);
    yield* this.#current.generate(request, signal);
  }

  async #passGate(signal: AbortSignal): Promise<void> {
    if (this.#gate === undefined) return;
    this.#held++;
    let onAbort = (): void => undefined;
    try {
      const aborted = new Promise<never>((_resolve, reject) => {
        onAbort = () => reject(signal.reason as Error);
        signal.addEventListener('abort', onAbort, { once: true });
      });
      signal.throwIfAborted();
      await Promise.race([this.#gate, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#held--;
    }
  }

  #tell(): void {
    const status = this.status();
    for (const listener of this.#listeners) listener(status);
  }
}

/** Has the engine answer. @throws where it does not */
export type Prove = (engine: Engine) => Promise<void>;

/** Until nothing runs or waits on it, for at most `limitMs`. */
async function drained(engine: Engine, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const { running, waiting, state } = engine.status();
    if (running + waiting === 0 || state === 'stopped' || performance.now() > deadline) return;
    await sleep(POLL_MS);
  }
}
