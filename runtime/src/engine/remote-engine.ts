/** Answers prompts through another service that speaks OpenAI's chat completions (`remote_service`). */
import { decodeJwt } from 'jose';

import type { BotConfig } from '../config/schema.js';
import {
  EngineError,
  type Engine,
  type EngineState,
  type EngineStatus,
  type FinishReason,
  type GenerateEvent,
  type GenerateRequest,
  type ModelInfo,
  type Usage,
} from './engine.js';
import { readEventData } from './remote-events.js';

export interface RemoteEngineOptions {
  readonly service: NonNullable<BotConfig['remote_service']>;
  /** The model's name, there and here. Without it the remote service chooses, and clients use `remote`. */
  readonly model?: string;
  readonly contextSize: number;
  /** Requests under way at once; further ones wait here. */
  readonly sequences: number;
  /** How long the first request, which proves that the service answers, may take. @default 60_000 ms */
  readonly probeMs?: number;
}

const PROBE_MS = 60_000;

/** The fields of a chunk that matter here. */
interface RemoteChunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  } | null;
  readonly error?: { readonly message?: string };
}

export class RemoteEngine implements Engine {
  readonly model: ModelInfo;
  readonly #options: RemoteEngineOptions;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  readonly #stopping = new AbortController();
  readonly #line: (() => void)[] = [];
  #state: EngineState = 'loading';
  #running = 0;

  constructor(options: RemoteEngineOptions) {
    this.#options = options;
    this.model = {
      id: options.model ?? 'remote',
      contextSize: options.contextSize,
      sequences: options.sequences,
      chatOnly: true,
      notes: [`answers come from ${new URL(options.service.endpoint).host}`],
    };
  }

  async start(): Promise<void> {
    this.#checkToken();
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
    const response = await this.#post(request, signal);
    // The prompt's tokens are known only at the end.
    yield { type: 'start', promptTokens: 0, cachedTokens: 0 };

    let usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };
    let finishReason: FinishReason | undefined;
    let pieces = 0;
    try {
      for await (const data of readEventData(response)) {
        if (data === '[DONE]') break;
        const piece = parseChunk(data);
        if (piece.error !== undefined)
          throw upstreamFailed(piece.error.message ?? 'an error without a message');
        const choice = piece.choices?.[0];
        const text = choice?.delta?.content ?? '';
        if (text !== '') {
          pieces++;
          yield { type: 'text', text, tokens: 1 };
        }
        if (choice?.finish_reason) finishReason = choice.finish_reason === 'length' ? 'length' : 'stop';
        if (piece.usage) usage = toUsage(piece.usage);
      }
    } catch (error) {
      if (signal.aborted || error instanceof EngineError) throw error;
      throw upstreamFailed(`the answer broke off: ${(error as Error).message}`);
    }
    if (finishReason === undefined) throw upstreamFailed('the answer broke off');
    // Services that report no usage: most send one token in a piece.
    if (usage.completionTokens === 0) usage = { ...usage, completionTokens: pieces };
    yield { type: 'end', finishReason, usage };
  }

  async #post(request: GenerateRequest, signal: AbortSignal): Promise<Response> {
    const { service } = this.#options;
    let response: Response;
    try {
      response = await fetch(service.endpoint, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream', ...this.#credentials() },
        body: JSON.stringify(this.#body(request)),
        // The token belongs to this address; a redirect could carry it elsewhere.
        redirect: 'error',
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw error;
      throw upstreamFailed(
        `it cannot be reached (${causeOf(error)}); check remote_service.endpoint and the network`,
      );
    }
    if (!response.ok) {
      await response.body?.cancel();
      throw upstreamFailed(refusalText(response.status));
    }
    if (!/^text\/event-stream/i.test(response.headers.get('content-type') ?? '')) {
      await response.body?.cancel();
      throw upstreamFailed('it does not stream; remote_service.endpoint should be a chat completions route');
    }
    return response;
  }

  #credentials(): Record<string, string> {
    const { type, token } = this.#options.service.auth;
    return type === 'api_key' ? { 'X-API-Key': token } : { Authorization: `Bearer ${token}` };
  }

  #body(request: GenerateRequest): object {
    if (!('messages' in request.input)) {
      throw new EngineError('upstream_failed', 'a remote service takes conversations only, not raw prompts');
    }
    return {
      ...(this.#options.model === undefined ? {} : { model: this.#options.model }),
      messages: request.input.messages.map(({ role, content }) => ({ role, content })),
      max_tokens: request.maxTokens,
      temperature: request.temperature,
      top_p: request.topP,
      ...(request.seed === undefined ? {} : { seed: request.seed }),
      ...(request.stop.length === 0 ? {} : { stop: request.stop }),
      ...(request.frequencyPenalty === 0 ? {} : { frequency_penalty: request.frequencyPenalty }),
      ...(request.presencePenalty === 0 ? {} : { presence_penalty: request.presencePenalty }),
      stream: true,
      stream_options: { include_usage: true },
    };
  }

  /** An expired JWT is told at the start, by name, rather than by the remote service at the first question. */
  #checkToken(): void {
    const { type, token } = this.#options.service.auth;
    if (type !== 'jwt') return;
    let expires: number | undefined;
    try {
      expires = decodeJwt(token).exp;
    } catch {
      throw upstreamFailed('remote_service.auth.token is not a JWT; correct it, or set auth.type to bearer');
    }
    if (expires !== undefined && expires * 1000 <= Date.now()) {
      const when = new Date(expires * 1000).toISOString();
      throw upstreamFailed(`remote_service.auth.token expired at ${when}; put a new one in its place`);
    }
  }

  #setState(state: EngineState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(this.status());
  }
}

function stoppedWhileStarting(): EngineError {
  return new EngineError('engine_unavailable', 'the engine was stopped while it started');
}

function upstreamFailed(message: string): EngineError {
  return new EngineError('upstream_failed', message);
}

/** The remote body is not repeated: it may quote the prompt or the token. */
function refusalText(status: number): string {
  if (status === 401 || status === 403)
    return `it refused the credentials (${status}); check remote_service.auth`;
  if (status === 404)
    return 'it knows no such route or model (404); check remote_service.endpoint and model_name';
  if (status === 429) return 'it is over its rate limit (429); try again later';
  return `it answered with status ${status}`;
}

function parseChunk(data: string): RemoteChunk {
  try {
    return JSON.parse(data) as RemoteChunk;
  } catch {
    throw upstreamFailed('a piece of the answer is not valid JSON');
  }
}

function toUsage(usage: NonNullable<RemoteChunk['usage']>): Usage {
  return {
    promptTokens: usage.prompt_tokens ?? 0,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
    completionTokens: usage.completion_tokens ?? 0,
  };
}

/** `fetch failed` says nothing; its cause has the system's code. */
function causeOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}
