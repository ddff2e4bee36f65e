/** Answers prompts through another service that speaks OpenAI's API (`remote_service`). */
import type { BotConfig } from '../config/schema.js';
import {
  EngineError,
  type Embeddings,
  type EmbedRequest,
  type Engine,
  type EngineState,
  type EngineStatus,
  type GenerateEvent,
  type GenerateRequest,
  type ModelInfo,
} from './engine.js';
import { AnswerReader } from './remote/answer-reader.js';
import { RemoteClient } from './remote/client.js';
import { embeddingsAddress, remoteEmbeddings } from './remote/embeddings.js';
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
const PROBE: GenerateRequest = {
  id: 'probe',
  input: { messages: [{ role: 'user', content: 'Say OK.' }] },
  maxTokens: 1,
  temperature: 0,
  topP: 1,
  stop: [],
  frequencyPenalty: 0,
  presencePenalty: 0,
};

/** What follows the end of an answer may take this long before its connection is given up. */
const END_MS = 1000;

export class RemoteEngine implements Engine {
  readonly model: ModelInfo;
  readonly #options: RemoteEngineOptions;
  readonly #client: RemoteClient;
  /** Undefined where none can be told from the service's address. */
  readonly #embeddings: string | undefined;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  readonly #stopping = new AbortController();
  readonly #line: (() => void)[] = [];
  #state: EngineState = 'loading';
  #reason: string | undefined;
  #running = 0;

  constructor(options: RemoteEngineOptions) {
    this.#options = options;
    this.#client = new RemoteClient(options.service, options.log);
    const { endpoint } = options.service;
    this.#embeddings = embeddingsAddress(endpoint);
    const isChat = this.#embeddings !== endpoint;
    this.model = {
      id: options.model ?? 'remote',
      contextSize: options.contextSize,
      sequences: options.sequences,
      isRemote: true,
      makes: !isChat ? 'embeddings' : this.#embeddings === undefined ? 'text' : 'both',
      notes: [`answers come from ${new URL(options.service.endpoint).host}`],
    };
  }

  async start(): Promise<void> {
    if (this.#state === 'failed') this.#setState('loading');
    const { probeMs = PROBE_MS } = this.#options;
    // Not AbortSignal.timeout(): within any() nothing else holds it, and once collected as garbage it never fires.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), probeMs);
    try {
      await this.#probe(AbortSignal.any([late.signal, this.#stopping.signal]));
    } catch (error) {
      if (this.#stopping.signal.aborted) throw stoppedWhileStarting();
      const failure =
        error instanceof EngineError ? error : upstreamFailed(`it did not answer in ${probeMs / 1000} s`);
      const why = failure instanceof RemoteFailure ? failure.logText : failure.message;
      this.#setState('failed', `the remote service does not answer as it should: ${why}`);
      throw failure;
    } finally {
      clearTimeout(timer);
    }
    if (this.#stopping.signal.aborted) throw stoppedWhileStarting();
    this.#setState('ready');
  }

  async #probe(signal: AbortSignal): Promise<void> {
    if (this.model.makes === 'embeddings') {
      await this.#embed({ id: 'probe', inputs: ['OK'] }, signal);
      return;
    }
    // To the end of the answer: a service that breaks off halfway does not count as ready.
    const events = this.#exchange(PROBE, signal);
    while (!(await events.next()).done);
  }

  status(): EngineStatus {
    return {
      state: this.#state,
      ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      running: this.#running,
      waiting: this.#line.length,
      restarts: 0,
    };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    this.#requireReady();
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    await this.#takeTurn(either);
    try {
      yield* this.#exchange(request, either);
    } catch (error) {
      throw this.#explained(error, signal);
    } finally {
      this.#passTurn();
    }
  }

  async embed(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings> {
    this.#requireReady();
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    await this.#takeTurn(either);
    try {
      return await this.#embed(request, either);
    } catch (error) {
      throw this.#explained(error, signal);
    } finally {
      this.#passTurn();
    }
  }

  async #embed(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings> {
    const address = this.#embeddings;
    if (address === undefined) {
      throw new EngineError('embeddings_refused', "no address of embeddings follows from the service's own");
    }
    try {
      return await remoteEmbeddings(this.#client, { address, model: this.#options.model }, request, signal);
    } catch (error) {
      throw this.#logged(error, request.id, signal);
    }
  }

  #requireReady(): void {
    if (this.#state !== 'ready') throw new EngineError('engine_unavailable', `the engine is ${this.#state}`);
  }

  /** What was cut off by the end of this engine is not the remote service's failure. */
  #explained(error: unknown, signal: AbortSignal): unknown {
    if (!this.#stopping.signal.aborted || signal.aborted) return error;
    return new EngineError('engine_interrupted', 'the engine was stopped');
  }

  /** A turn passes on to the next in line; only without one it becomes free. */
  #passTurn(): void {
    const next = this.#line.shift();
    if (next === undefined) this.#running--;
    else next();
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
      throw this.#logged(error, request.id, signal);
    }
  }

  /** The error itself; its words for the operator are in the log, unless nobody waits for the answer any more. */
  #logged(error: unknown, id: string, signal: AbortSignal): unknown {
    if (signal.aborted) return error;
    const text = error instanceof RemoteFailure ? error.logText : 'a defect here';
    this.#options.log('WRN', `req=${id} the remote service failed: ${text}`);
    return error;
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

  #setState(state: EngineState, reason?: string): void {
    this.#state = state;
    this.#reason = reason;
    for (const listener of this.#listeners) listener(this.status());
  }
}

function stoppedWhileStarting(): EngineError {
  return new EngineError('engine_unavailable', 'the engine was stopped while it started');
}
