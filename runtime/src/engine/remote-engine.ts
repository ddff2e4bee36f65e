/** Answers prompts through another service that speaks OpenAI's chat completions (`remote_service`). */
import type { BotConfig } from '../config/schema.js';
import {
  EngineError,
  type Engine,
  type EngineState,
  type EngineStatus,
  type GenerateEvent,
  type GenerateRequest,
  type ModelInfo,
} from './engine.js';
import { AnswerReader } from './remote/answer-reader.js';
import { RemoteClient } from './remote/client.js';
import { readEventData } from './remote/event-data.js';
import { RemoteFailure, upstreamFailed } from './remote/failures.js';
import { toRequestBody } from './remote/request-body.js';

export interface RemoteEngineOptions {
  readonly service: NonNullable<BotConfig['remote_service']>;
  /** The model's name, there and here. Without it the remote service chooses, and clients use `remote`. */
  readonly model?: string;
  readonly contextSize: number;
  /** Requests under way at once; further ones wait here. */
  readonly sequences: number;
  /** How long the first request, which proves that the service answers, may take. @default 60_000 ms */
  readonly probeMs?: number;
  readonly log: (level: 'WRN', text: string) => void;
}

const PROBE_MS = 60_000;

/** What follows the end of an answer may take this long before its connection is given up. */
const END_MS = 1000;

export class RemoteEngine implements Engine {
  readonly model: ModelInfo;
  readonly #options: RemoteEngineOptions;
  readonly #client: RemoteClient;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  readonly #stopping = new AbortController();
  readonly #line: (() => void)[] = [];
  #state: EngineState = 'loading';
  #running = 0;

  constructor(options: RemoteEngineOptions) {
    this.#options = options;
    this.#client = new RemoteClient(options.service, options.log);
    this.model = {
      id: options.model ?? 'remote',
      contextSize: options.contextSize,
      sequences: options.sequences,
      isRemote: true,
      notes: [`answers come from ${new URL(options.service.endpoint).host}`],
    };
  }

  async start(): Promise<void> {
    const probe: GenerateRequest = {
      id: 'probe',
      input: { messages: [{ role: 'user', content: 'Say OK.' }] },
      maxTokens: 1,
      temperature: 0,
      topP: 1,
      stop: [],
      frequencyPenalty: 0,
      presencePenalty: 0,
    };
    const { probeMs = PROBE_MS } = this.#options;
    // Not AbortSignal.timeout(): within any() nothing else holds it, and once collected as garbage it never fires.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), probeMs);
    try {
      // To the end of the answer: a service that breaks off halfway does not count as ready.
      const either = AbortSignal.any([late.signal, this.#stopping.signal]);
      const events = this.#exchange(probe, either);
      while (!(await events.next()).done);
    } catch (error) {
      if (this.#stopping.signal.aborted) throw stoppedWhileStarting();
      this.#setState('failed');
      throw error instanceof EngineError ? error : upstreamFailed(`it did not answer in ${probeMs / 1000} s`);
    } finally {
      clearTimeout(timer);
    }
    if (this.#stopping.signal.aborted) throw stoppedWhileStarting();
    this.#setState('ready');
  }

  status(): EngineStatus {
    return { state: this.#state, running: this.#running, waiting: this.#line.length, restarts: 0 };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    if (this.#state !== 'ready') throw new EngineError('engine_unavailable', `the engine is ${this.#state}`);
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    await this.#takeTurn(either);
    try {
      yield* this.#exchange(request, either);
    } catch (error) {
      if (this.#stopping.signal.aborted && !signal.aborted) {
        throw new EngineError('engine_interrupted', 'the engine was stopped');
      }
      throw error;
    } finally {
      // A turn passes on to the next in line; only without one it becomes free.
      const next = this.#line.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  onState(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#client.close();
    this.#setState('stopped');
  }

  /** Waits for one of the `sequences` turns, first come, first served. */
  async #takeTurn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.model.sequences) {
      this.#running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onTurn = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#line.splice(this.#line.indexOf(onTurn), 1);
        reject(signal.reason as Error);
      };
      this.#line.push(onTurn);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  async *#exchange(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    try {
      yield* this.#answer(request, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const text = error instanceof RemoteFailure ? error.logText : 'a defect here';
      this.#options.log('WRN', `req=${request.id} the remote service failed: ${text}`);
      throw error;
    }
  }

  async *#answer(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    const { service, model } = this.#options;
    const response = await this.#client.post(
      {
        id: request.id,
        address: service.endpoint,
        body: toRequestBody(request, model),
        accept: 'text/event-stream',
      },
      signal,
    );
    const reader = new AnswerReader(request);
    let isFirst = true;
    let isOver = false;
    try {
      for await (const data of readEventData(response.body)) {
        if (data === '[DONE]') {
          isOver = true;
          response.hurry(END_MS);
        }
        if (isOver) continue;
        const events = reader.read(data);
        // The prompt's tokens are known only at the end. Not before something came: until then an error has a status.
        if (isFirst) yield { type: 'start', promptTokens: 0, cachedTokens: 0 };
        isFirst = false;
        yield* events;
      }
    } catch (error) {
      if (signal.aborted || error instanceof RemoteFailure) throw error;
      if (!isOver) throw upstreamFailed(`the answer broke off: ${(error as Error).message}`);
    } finally {
      response.discard();
    }
    yield reader.end();
  }

  #setState(state: EngineState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(this.status());
  }
}

function stoppedWhileStarting(): EngineError {
  return new EngineError('engine_unavailable', 'the engine was stopped while it started');
}
