/** Answers chat requests, whole or as a stream, in OpenAI's format. */
import type { RequestHandler, Response } from 'express';

import type { GenerateEvent, GenerateRequest } from '../engine/engine.js';
import { toApiError } from '../errors/from-engine.js';
import type { Logger } from '../log/logger.js';
import type { Admission, Ticket } from './admission.js';
import { parseChatRequest, type ChatRequest, type ChatRequestRules } from './chat-request.js';
import { chunk, completion, newAnswerHead, usageChunk, type AnswerHead } from './chat-response.js';
import { ClientLeft, runGeneration, type GenerationOptions } from './generation.js';
import { contextOf } from './request-context.js';
import { EventStream } from './sse.js';

export interface ChatOptions extends GenerationOptions {
  readonly admission: Admission;
  readonly log: Logger;
  readonly defaults: ChatRequestRules['defaults'];
  readonly modelRequired: boolean;
}

/** Proxies close connections on which nothing moves for 60 seconds. */
const KEEP_ALIVE_MS = 10_000;

export function chatHandler(options: ChatOptions): RequestHandler {
  return async function chat(req, res) {
    const { model } = options.engine;
    const chatRequest = parseChatRequest(req.body, {
      models: [model.id],
      modelRequired: options.modelRequired,
      contextSize: model.contextSize,
      defaults: options.defaults,
    });
    const ticket = options.admission.enter();
    res.once('close', () => {
      if (!res.writableFinished) ticket.stop('client_left');
    });

    const context = contextOf(res);
    const request: GenerateRequest = { id: context.id, ...chatRequest.generate };
    const events = runGeneration(request, ticket, context, options);
    const head = newAnswerHead(model.id);
    try {
      if (chatRequest.stream) await sendStream(res, ticket, events, head, chatRequest, options.log);
      else await sendWhole(res, events, head);
    } catch (error) {
      if (!(error instanceof ClientLeft)) throw error;
    }
  };
}

async function sendWhole(
  res: Response,
  events: AsyncIterable<GenerateEvent>,
  head: AnswerHead,
): Promise<void> {
  let content = '';
  for await (const event of events) {
    if (event.type === 'text') content += event.text;
    if (event.type === 'end') res.json(completion(head, content, event.finishReason, event.usage));
  }
}

async function sendStream(
  res: Response,
  ticket: Ticket,
  events: AsyncIterable<GenerateEvent>,
  head: AnswerHead,
  { includeUsage }: ChatRequest,
  log: Logger,
): Promise<void> {
  const stream = new EventStream(res, ticket.signal);
  // Until the work begins an error can still have a status of its own; a long wait needs signs of life.
  const keepAlive = setInterval(() => stream.keepAlive(), KEEP_ALIVE_MS);
  try {
    for await (const event of events) {
      clearInterval(keepAlive);
      switch (event.type) {
        case 'start':
          await stream.send(chunk(head, { role: 'assistant', content: '' }, null, includeUsage));
          break;
        case 'text':
          await stream.send(chunk(head, { content: event.text }, null, includeUsage));
          break;
        case 'end':
          await stream.send(chunk(head, {}, event.finishReason, includeUsage));
          if (includeUsage) await stream.send(usageChunk(head, event.usage));
          await stream.send('[DONE]');
          break;
      }
    }
    stream.end();
  } catch (error) {
    if (error instanceof ClientLeft || !stream.isOpen) throw error;
    await sendErrorEvent(res, stream, error, log);
  } finally {
    clearInterval(keepAlive);
  }
}

/** The status has been sent: the error travels as the last event, and without `[DONE]`. */
async function sendErrorEvent(
  res: Response,
  stream: EventStream,
  error: unknown,
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
  await stream.send(apiError.toBody());
  stream.end();
}
