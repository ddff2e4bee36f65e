/**
 * From a request that was read to the events of its answer: word rules, response cache, admission, engine, word rules
 * again. What the routes share, whatever their format is.
 */
import type { Response } from 'express';

import type { Identity } from '../access/identity.js';
import type { ResponseCache } from '../cache/response-cache.js';
import type { GenerateEvent, GenerateRequest } from '../engine/engine.js';
import { lazily } from '../engine/lazily.js';
import type { Logger } from '../log/logger.js';
import type { Metrics } from '../metrics/metrics.js';
import { Turn } from '../policy/slices.js';
import type { PolicyStore } from '../policy/store.js';
import type { ServedModel } from '../serving/served-models.js';
import type { Ticket } from './admission.js';
import { ClientLeft, runGeneration } from './generation.js';
import { unsupported } from './read-body.js';
import { contextOf, type RequestContext } from './request-context.js';
import { screenInput, screenOutput, type HitReport, type InputFields } from './word-filter.js';

export interface StartOptions {
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly policy: PolicyStore;
}

type OfModel = StartOptions & { readonly served: ServedModel };
type OfRequest = OfModel & { readonly fields: InputFields };

export interface StartedGeneration {
  /** Aborted when work on the request should end. */
  readonly signal: AbortSignal;
  /** Nothing happens before the first is asked for. @throws EngineError, ApiError, ClientLeft */
  readonly events: AsyncIterable<GenerateEvent>;
}

export function startGeneration(
  request: Omit<GenerateRequest, 'id'>,
  res: Response,
  options: OfRequest,
): StartedGeneration {
  const controller = untilClientLeaves(res);
  const context = contextOf(res);
  const events = lazily(() => screened({ id: context.id, ...request }, controller, res, options));
  return { signal: controller.signal, events };
}

async function screened(
  request: GenerateRequest,
  controller: AbortController,
  res: Response,
  options: OfRequest,
): Promise<AsyncIterable<GenerateEvent>> {
  const { policy, log, fields } = options;
  const report = hitReport(contextOf(res), log);
  // They name tokens, also those of a word that is masked in the text.
  if (request.topLogprobs !== undefined && !policy.output.isEmpty) {
    throw unsupported('logprobs', 'its access policy filters what the model writes');
  }
  const turn = new Turn(() => requireClient(controller));
  const clean = await screenInput(request, policy.input, report, fields, turn);
  const events = await cached({ ...request, ...clean }, controller, res, options);
  if (policy.output.isEmpty) return events;
  return screenOutput(events, policy.output, report, request.format === undefined ? 'plain' : 'json');
}

/** The answer from the cache, else from the engine, and then into the cache. */
async function cached(
  request: GenerateRequest,
  controller: AbortController,
  res: Response,
  options: OfModel,
): Promise<AsyncIterable<GenerateEvent>> {
  const { served, metrics } = options;
  const { cache } = served;
  const context = contextOf(res);
  const key = cache?.keyOf(request);
  if (cache === undefined || key === undefined) return admitted(request, controller, context, options);

  const kept = await cache.get(key);
  const result = kept === undefined ? 'miss' : 'hit';
  metrics.cacheLookups.inc({ result });
  context.notes.push(`cache=${result}`);
  if (!res.headersSent) res.set('X-Cache', result);
  if (kept !== undefined) return fromCache(kept);
  const events = admitted(request, controller, context, options);
  return intoCache(events, key, cache, served);
}

async function* fromCache(kept: readonly GenerateEvent[]): AsyncGenerator<GenerateEvent, void> {
  for (const event of kept) yield asRead(event);
}

async function* intoCache(
  answer: AsyncIterable<GenerateEvent>,
  key: string,
  cache: ResponseCache,
  served: ServedModel,
): AsyncGenerator<GenerateEvent, void> {
  const events: GenerateEvent[] = [];
  for await (const event of answer) {
    events.push(event);
    // Not what time, and not the request, has cut off. Before the last event: after it, nobody may ask for more.
    // Nor what another model may have said: it was switched meanwhile.
    const isWhole = event.type === 'end' && event.warning === undefined && served.cache === cache;
    if (isWhole) await cache.set(key, events);
    yield event;
  }
}

/** Of an answer from the cache, no token of the prompt was read, and none was guessed. */
function asRead(event: GenerateEvent): GenerateEvent {
  if (event.type === 'start') return { ...event, cachedTokens: event.promptTokens };
  if (event.type !== 'end') return event;
  const { promptTokens, completionTokens } = event.usage;
  return { ...event, usage: { promptTokens, cachedTokens: promptTokens, completionTokens } };
}

function admitted(
  request: GenerateRequest,
  controller: AbortController,
  context: RequestContext,
  options: OfModel,
): AsyncIterable<GenerateEvent> {
  const { ticket, seconds } = enter(controller, context, options);
  const { metrics, served } = options;
  return runGeneration(request, ticket, context, {
    engine: served.engine,
    metrics,
    maxRequestSeconds: seconds,
  });
}

/** Through the model's door, with what the access policy allows whoever asks. @throws ApiError, ClientLeft */
export function enter(
  controller: AbortController,
  { identity }: RequestContext,
  { served, policy }: Pick<OfModel, 'served' | 'policy'>,
): { readonly ticket: Ticket; readonly seconds: number } {
  requireClient(controller);
  const { overall, perToken, seconds } = policy.limitsFor(identity?.user);
  const holder = { key: holderKey(identity), overall, perToken };
  return { ticket: served.admission.enter(holder, controller), seconds };
}

/** @throws ClientLeft */
export function requireClient({ signal }: AbortController): void {
  if (signal.reason === 'client_left') throw new ClientLeft();
}

/** Aborted when the client closes the connection before it has its answer. */
export function untilClientLeaves(res: Response): AbortController {
  const controller = new AbortController();
  // Gone already, while its request was being looked at.
  if (res.destroyed) controller.abort('client_left');
  res.once('close', () => {
    if (!res.writableFinished) controller.abort('client_left');
  });
  return controller;
}

/** Token ids are UUIDs, or else chosen by those who know the API key: none is this word. */
function holderKey(identity: Identity | undefined): string {
  return identity?.tokenId ?? 'API key';
}

export function hitReport({ id, user }: RequestContext, log: Logger): HitReport {
  return (side, hits, blockedBy) => {
    const rules = [...hits].map(([rule, count]) => `${JSON.stringify(rule)} x${count}`).join(', ');
    const what = blockedBy === undefined ? 'masked' : `blocked by ${JSON.stringify(blockedBy)}`;
    log.log('SEC', `req=${id} user=${user ?? '-'} sensitive words in the ${side}, ${what}: ${rules}`);
  };
}
