/** Runs one prompt on the engine: keeps to the time limit, and records counts and times. */
import {
  EngineError,
  type Engine,
  type GenerateEvent,
  type GenerateRequest,
  type Usage,
} from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import type { Metrics } from '../metrics.js';
import type { Ticket } from './admission.js';
import type { RequestContext } from './request-context.js';

/** The client is gone: there is nobody to answer. */
export class ClientLeft extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientLeft';
  }
}

export interface GenerationOptions {
  readonly engine: Engine;
  readonly metrics: Metrics;
}

/**
 * The engine's events, with the deadline's end in place of the engine's when time is up: what was generated until
 * then is the answer, with the finish reason `length`. Releases the ticket on every way out.
 * @throws EngineError, ApiError, ClientLeft
 */
export async function* runGeneration(
  request: GenerateRequest,
  ticket: Ticket,
  context: RequestContext,
  { engine, metrics, maxRequestSeconds }: GenerationOptions & { readonly maxRequestSeconds: number },
): AsyncGenerator<GenerateEvent, void> {
  const record = new GenerationRecord(context, metrics);
  let workEnded = () => {};
  context.work = new Promise((resolve) => {
    workEnded = resolve;
  });
  const handedOverAt = performance.now();
  const timer = setTimeout(() => ticket.stop('deadline'), maxRequestSeconds * 1000);
  try {
    try {
      for await (const event of engine.generate(request, ticket.signal)) {
        if (ticket.signal.aborted) break;
        record.add(event);
        if (event.type === 'end') context.engineMs = performance.now() - handedOverAt;
        yield event;
        if (event.type === 'end') return;
      }
    } catch (error) {
      // What an engine throws when it is aborted is its own business; why it was aborted is known here.
      if (!ticket.signal.aborted) throw error;
    }
    if (ticket.signal.reason === 'client_left') throw new ClientLeft();
    if (ticket.signal.reason === 'shutdown') throw new ApiError('shutting_down', { retryAfter: 5 });
    if (ticket.signal.reason !== 'deadline') {
      throw new EngineError('engine_interrupted', 'the engine ended an answer without saying so');
    }
    const values = { seconds: maxRequestSeconds };
    if (!record.started) throw new ApiError('queue_timeout', { values, retryAfter: 30 });
    if (!record.hasText) {
      throw new ApiError('request_timeout', { values, headers: { 'x-should-retry': 'false' } });
    }
    context.notes.push('deadline=reached');
    const end: GenerateEvent = {
      type: 'end',
      finishReason: 'length',
      usage: record.usage,
      warning: `The answer ends here because a request may take ${maxRequestSeconds} seconds`,
    };
    record.add(end);
    yield end;
  } finally {
    clearTimeout(timer);
    record.close();
    ticket.release(record.workSeconds);
    workEnded();
  }
}

/** Times and counts of one generation, on their way to the metrics and the log line. */
class GenerationRecord {
  readonly #context: RequestContext;
  readonly #metrics: Metrics;
  #startedAt: number | undefined;
  #lastTextAt: number | undefined;
  #firstTextAt: number | undefined;
  #firstTextSeconds: number | undefined;
  #firstTextTokens = 0;
  #ended = false;
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  constructor(context: RequestContext, metrics: Metrics) {
    this.#context = context;
    this.#metrics = metrics;
  }

  get started(): boolean {
    return this.#startedAt !== undefined;
  }

  get hasText(): boolean {
    return this.#lastTextAt !== undefined;
  }

  get usage(): Usage {
    return this.#usage;
  }

  /** Seconds since the request got its sequence. */
  get workSeconds(): number | undefined {
    return this.#startedAt === undefined ? undefined : (performance.now() - this.#startedAt) / 1000;
  }

  add(event: GenerateEvent): void {
    const now = performance.now();
    switch (event.type) {
      case 'start':
        this.#startedAt = now;
        this.#usage = { ...this.#usage, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens };
        this.#metrics.queueTime.observe(this.#sinceArrival(now));
        break;
      case 'tool-call':
        break;
      case 'text':
      case 'tool-arguments':
        this.#addText(event.tokens, now);
        break;
      case 'end':
        this.#usage = event.usage;
        this.#ended = true;
        this.#metrics.requestLatency.observe(this.#sinceArrival(now));
        break;
    }
  }

  /** Cancelled and failed requests used tokens too. */
  close(): void {
    if (this.#startedAt === undefined) return;
    const { promptTokens, cachedTokens, completionTokens } = this.#usage;
    this.#metrics.promptTokens.inc(promptTokens);
    this.#metrics.cachedTokens.inc(cachedTokens);
    this.#metrics.generationTokens.inc(completionTokens);
    this.#context.generation = this.#figures();
    const queued = (this.#startedAt - this.#context.arrivedAt) / 1000;
    this.#context.notes.push(
      `prompt=${promptTokens}`,
      `cached=${cachedTokens}`,
      `completion=${completionTokens}`,
      `queue=${queued.toFixed(3)}s`,
      `first=${this.#firstTextSeconds?.toFixed(3) ?? '-'}s`,
    );
  }

  #figures(): RequestContext['generation'] {
    const further = this.#usage.completionTokens - this.#firstTextTokens;
    return {
      firstTokenSeconds: this.#firstTextSeconds,
      tokenSeconds:
        this.#firstTextAt !== undefined && this.#lastTextAt !== undefined && further > 0
          ? (this.#lastTextAt - this.#firstTextAt) / 1000 / further
          : undefined,
      totalSeconds: this.#ended ? this.#sinceArrival(performance.now()) : undefined,
      tokens: this.#usage.completionTokens,
    };
  }

  #addText(tokens: number, now: number): void {
    if (this.#lastTextAt === undefined) {
      this.#firstTextAt = now;
      this.#firstTextTokens = tokens;
      this.#firstTextSeconds = this.#sinceArrival(now);
      this.#metrics.timeToFirstToken.observe(this.#firstTextSeconds);
    } else {
      const perToken = (now - this.#lastTextAt) / 1000 / Math.max(1, tokens);
      for (let token = 0; token < tokens; token++) this.#metrics.interTokenLatency.observe(perToken);
    }
    this.#lastTextAt = now;
    this.#usage = { ...this.#usage, completionTokens: this.#usage.completionTokens + tokens };
  }

  #sinceArrival(now: number): number {
    return (now - this.#context.arrivedAt) / 1000;
  }
}
