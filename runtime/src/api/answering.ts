/** Runs an accepted request and sends its answer, whole or as a stream, in the format of its route. */
import type { Request, RequestHandler, Response } from 'express';

import { EngineError, type GenerateEvent, type GenerateRequest } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { toApiError, type PromptField } from '../errors/from-engine.js';
import type { Logger } from '../log/logger.js';
import { warningOf, type AnswerWriter } from './answer.js';
import { ClientLeft } from './generation.js';
import { unsupported } from './read-body.js';
import { contextOf } from './request-context.js';
import type { RequestRules } from './sampling-fields.js';
import { EventStream } from './sse.js';
import type { ServedModels } from '../serving/served-models.js';
import { startGeneration, type StartOptions } from './start-generation.js';

export interface AnsweringOptions extends StartOptions {
  readonly models: ServedModels;
  readonly defaults: RequestRules['defaults'];
}

/** A request that was read, and how its answer is written. */
export interface ReadRequest {
  readonly stream: boolean;
  readonly generate: Omit<GenerateRequest, 'id'>;
  readonly writer: AnswerWriter;
}

/** Proxies close connections on which nothing moves for 60 seconds. */
const KEEP_ALIVE_MS = 10_000;

/** How one route reads its requests. */
export interface Route {
  readonly modelRequired: boolean;
  readonly promptField: PromptField;
  /** @default 'response_format' */
  readonly formatField?: string;
  /** Checks the body. @throws ApiError */
  readonly read: (body: unknown, rules: RequestRules, model: string) => ReadRequest;
}

export function answering(options: AnsweringOptions, route: Route): RequestHandler {
  return async function answeringHandler(req: Request, res: Response) {
    const served = options.models.chosenBy(req.body);
    const { model } = served.engine;
    const rules = {
      models: options.models.names,
      modelRequired: route.modelRequired,
      contextSize: model.contextSize,
      isRemote: model.isRemote ?? false,
      defaults: options.defaults,
    };
    const { stream, generate, writer } = route.read(req.body, rules, model.id);
    if (model.makes === 'embeddings') throw new ApiError('text_unsupported', { param: 'model' });
    if (model.isRemote === true && 'prompt' in generate.input) {
      throw unsupported('prompt', 'the remote service behind it takes conversations');
    }

    const fields = { input: route.promptField, format: route.formatField ?? 'response_format' };
    const { signal, events } = startGeneration(generate, res, { ...options, served, fields });
    try {
      if (stream) await sendStream(res, signal, events, writer, options.log);
      else await sendWhole(res, events, writer);
    } catch (error) {
      // Only here it is known what the route calls its prompt.
      if (error instanceof EngineError) throw toApiError(error, contextOf(res).id, route.promptField);
      if (!(error instanceof ClientLeft)) throw error;
    }
  };
}

async function sendWhole(
  res: Response,
  events: AsyncIterable<GenerateEvent>,
  writer: AnswerWriter,
): Promise<void> {
  for await (const event of events) {
    writer.write(event);
    if (event.type !== 'end') continue;
    const { engineMs } = contextOf(res);
    // For whoever asks where the time goes; of a stream, the headers are gone by then.
    if (engineMs !== undefined) res.set('Server-Timing', `engine;dur=${engineMs.toFixed(1)}`);
    res.json({ ...writer.whole(), ...warningOf(event) });
  }
}

async function sendStream(
  res: Response,
  signal: AbortSignal,
  events: AsyncIterable<GenerateEvent>,
  writer: AnswerWriter,
  log: Logger,
): Promise<void> {
  const stream = new EventStream(res, signal);
  // Until the work begins an error can still have a status of its own; a long wait needs signs of life.
  const keepAlive = setInterval(() => stream.keepAlive(), KEEP_ALIVE_MS);
  try {
    for await (const event of events) {
      clearInterval(keepAlive);
      await stream.send(writer.write(event));
    }
    stream.end();
  } catch (error) {
    if (error instanceof ClientLeft || !stream.isOpen) throw error;
    await sendErrorEvent(res, stream, error, writer, log);
  } finally {
    clearInterval(keepAlive);
  }
}

/** The status has been sent: the error travels as the last event, and without `[DONE]`. */
async function sendErrorEvent(
  res: Response,
  stream: EventStream,
  error: unknown,
  writer: AnswerWriter,
  log: Logger,
): Promise<void> {
  const context = contextOf(res);
  const apiError = toApiError(error, context.id);
  context.errorCode = apiError.code;
  if (apiError.code === 'internal_error') {
    log.log(
      'ERR',
      `req=${context.id} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }
  await stream.send([writer.failure(apiError)]);
  stream.end();
}
