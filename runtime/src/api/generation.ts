/** Runs one prompt on the engine: keeps to the time limit, and records counts and times. */
import type { Histogram } from 'prom-client';

import {
  EngineError,
  type Engine,
  type GenerateEvent,
  type GenerateRequest,
  type Usage,
} from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { counted } from '../errors/counted.js';
import type { Metrics } from '../metrics/metrics.js';
import type { StopReason, Ticket } from './admission.js';
import type { RequestContext } from './request-context.js';

/** The client is gone: there is nobody to answer. */
export class ClientLeft extends Error {
  constructor() {
    super('the client closed the connection');
    this.name = 'ClientLeft';
  }
}

export interface GenerationOptions {
  /** The one that answers this request. */
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
  const record = new GenerationRecord(context, metrics, engine.model.id);
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
    if (ticket.signal.reason !== 'deadline' || !record.hasText) {
      throw stopError(ticket.signal, record.started, maxRequestSeconds);
    }
    context.notes.push('deadline=reached');
    const end: GenerateEvent = {
      type: 'end',
      finishReason: 'length',
      usage: record.usage,
      warning: `The answer ends here because a request may take ${counted(maxRequestSeconds, 'second')}`,
    };
    record.add(end);
    yield end;
  } finally {
    clearTimeout(timer);
    record.close();
    ticket.release(record.started);
    workEnded();
  }
}

/** What a request is answered with that was stopped from outside and has nothing to show. */
export function stopError({ reason }: AbortSignal, hadStarted: boolean, seconds: number): Error {
  switch (reason as StopReason | undefined) {
    case 'client_left':
      return new ClientLeft();
    case 'shutdown':
      return new ApiError('shutting_down', { retryAfter: 5 });
    case 'deadline':
      return hadStarted
        ? new ApiError('request_timeout', { values: { seconds }, headers: { 'x-should-retry': 'false' } })
        : new ApiError('queue_timeout', { values: { seconds }, retryAfter: 30 });
    case undefined:
      return new EngineError('engine_interrupted', 'the engine ended an answer without saying so');
  }
}

/** Times and counts of one generation, on their way to the metrics and the log line. */
class GenerationRecord {
  readonly #context: RequestContext;
  readonly #metrics: Metrics;
  readonly #labels: { readonly model: string };
  /** Observed at each token: its labels are looked up once. */
  readonly #tokenLatency: Histogram.Internal<'model'>;
  #startedAt: number | undefined;
  #lastTextAt: number | undefined;
  #firstTextAt: number | undefined;
  #firstTextSeconds: number | undefined;
  #firstTextTokens = 0;
  #ended = false;
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

  constructor(context: RequestContext, metrics: Metrics, model: string) {
    this.#context = context;
    this.#metrics = metrics;
    this.#labels = { model };
    this.#tokenLatency = metrics.interTokenLatency.labels(this.#labels);
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

  add(event: GenerateEvent): void {
    const now = performance.now();
    switch (event.type) {
      case 'start':
        this.#startedAt = now;
        this.#usage = { ...this.#usage, promptTokens: event.promptTokens, cachedTokens: event.cachedTokens };
        this.#metrics.queueTime.observe(this.#labels, this.#sinceArrival(now));
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
        this.#metrics.requestLatency.observe(this.#labels, this.#sinceArrival(now));
        break;
    }
  }

  /** Cancelled and failed requests used tokens too. */
  close(): void {
    if (this.#startedAt === undefined) return;
    const { promptTokens, cachedTokens, completionTokens } = this.#usage;
    this.#metrics.promptTokens.inc(this.#labels, promptTokens);
    this.#metrics.cachedTokens.inc(this.#labels, cachedTokens);
    this.#metrics.generationTokens.inc(this.#labels, completionTokens);
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
      this.#metrics.timeToFirstToken.observe(this.#labels, this.#firstTextSeconds);
    } else {
      const perToken = (now - this.#lastTextAt) / 1000 / Math.max(1, tokens);
      for (let token = 0; token < tokens; token++) this.#tokenLatency.observe(perToken);
    }
    this.#lastTextAt = now;
    this.#usage = { ...this.#usage, completionTokens: this.#usage.completionTokens + tokens };
  }

  #sinceArrival(now: number): number {
    return (now - this.#context.arrivedAt) / 1000;
  }
}
