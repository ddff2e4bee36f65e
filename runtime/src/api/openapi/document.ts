/** The OpenAPI document, made of the schemas that check requests. */
import { z } from 'zod';

import { API_ERRORS, type ErrorEntry } from '../../errors/catalog.js';
import { chatBody } from '../chat-schema.js';
import { completionBody } from '../completion.js';
import { embeddingsBody } from '../embeddings.js';
import { responseBody } from '../response-schema.js';
import {
  chatCompletion,
  embeddingList,
  errorBody,
  health,
  modelEntry,
  modelList,
  readiness,
  responseObject,
  streamEvent,
  textCompletion,
} from './answers.js';

export interface DocumentOptions {
  readonly version: string;
  /** The names of the models that are served. */
  readonly models: readonly string[];
  /** Bounds `max_tokens`. */
  readonly contextSize: number;
}

interface Operation {
  readonly summary: string;
  readonly body?: z.ZodType;
  /** Without it, only errors come back. */
  readonly answer?: z.ZodType;
  readonly answerType?: 'application/json' | 'text/plain';
  readonly streams?: boolean;
  /** Needs no credentials. */
  readonly open?: boolean;
  readonly parameters?: readonly object[];
  /** Answers besides the common ones. */
  readonly also?: Readonly<Record<string, { readonly description: string; readonly schema: z.ZodType }>>;
}

const ERROR = { $ref: '#/components/schemas/Error' };
/** Statuses that reading, checking and running a request can end with. */
const OF_WORK = [400, 401, 403, 404, 413, 415, 429, 500, 502, 503, 504];
const OF_LOOKING = [401, 403, 429, 500];

export function openApiDocument({ version, models, contextSize }: DocumentOptions): object {
  const rules = { models, contextSize, modelRequired: true };
  const chat = { answer: chatCompletion, streams: true } as const;
  const readyAnswer = { 503: { description: 'Not ready', schema: readiness } };
  return {
    openapi: '3.1.0',
    info: {
      title: 'botstack',
      version,
      description:
        'A private, OpenAI-compatible chat service. What it does not support is refused, never ignored; fields whose ' +
        'only allowed value means the same as leaving them out are accepted because clients send them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ bearer: [] }],
    paths: {
      '/v1/chat/completions': {
        post: operation({ summary: 'Answers a conversation', body: chatBody(rules), ...chat }, OF_WORK),
      },
      '/api/v1/chat': {
        post: operation(
          {
            summary: 'Answers a conversation; the model need not be named',
            body: chatBody({ ...rules, modelRequired: false }),
            ...chat,
          },
          OF_WORK,
        ),
      },
      '/v1/completions': {
        post: operation(
          { summary: 'Continues a text', body: completionBody(rules), answer: textCompletion, streams: true },
          OF_WORK,
        ),
      },
      '/v1/responses': {
        post: operation(
          {
            summary: 'Answers a conversation, in items',
            body: responseBody(rules),
            answer: responseObject,
            streams: true,
          },
          OF_WORK,
        ),
      },
      '/v1/embeddings': {
        post: operation(
          {
            summary: 'Makes a vector of each text; for models that can',
            body: embeddingsBody(rules),
            answer: embeddingList,
          },
          OF_WORK,
        ),
      },
      '/v1/models': { get: operation({ summary: 'Lists the models', answer: modelList }, OF_LOOKING) },
      '/v1/models/{id}': {
        get: operation(
          {
            summary: 'One model',
            answer: modelEntry,
            parameters: [
              { name: 'id', in: 'path', required: true, schema: { type: 'string', enum: models } },
            ],
          },
          [400, 404, ...OF_LOOKING],
        ),
      },
      '/openapi.json': {
        get: operation({ summary: 'This document', answer: z.looseObject({}), open: true }, [500]),
      },
      '/health': {
        get: operation({ summary: 'The process answers', answer: health, open: true }, [500]),
        post: operation({ summary: 'The process answers', answer: health, open: true }, [500]),
      },
      '/readyz': {
        get: operation(
          { summary: 'The model answers', answer: readiness, open: true, also: readyAnswer },
          [500],
        ),
      },
      '/metrics': {
        get: operation(
          { summary: 'Metrics for Prometheus', answer: z.string(), answerType: 'text/plain' },
          OF_LOOKING,
        ),
      },
    },
    components: {
      schemas: { Error: toSchema(errorBody, 'output') },
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'The API key, or an access token made with generate_token.sh',
        },
      },
    },
  };
}

function operation(given: Operation, errors: readonly number[]): object {
  const { summary, body, answer, answerType = 'application/json', streams, open, parameters, also } = given;
  const responses: Record<string, object> = {};
  if (answer !== undefined) {
    const stream = { 'text/event-stream': { schema: toSchema(streamEvent, 'output') } };
    responses['200'] = {
      description: 'OK',
      headers: REQUEST_ID,
      content: { [answerType]: { schema: toSchema(answer, 'output') }, ...(streams === true ? stream : {}) },
    };
  }
  for (const status of errors) {
    const retry = status === 429 || status === 503 ? RETRY_AFTER : {};
    const content = { 'application/json': { schema: ERROR } };
    responses[status] = {
      description: describeStatus(status),
      headers: { ...REQUEST_ID, ...retry },
      content,
    };
  }
  for (const [status, { description, schema }] of Object.entries(also ?? {})) {
    responses[status] = {
      description,
      headers: REQUEST_ID,
      content: { 'application/json': { schema: toSchema(schema, 'output') } },
    };
  }
  return {
    summary,
    ...(open === true ? { security: [] } : {}),
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: toSchema(body, 'input') } },
          },
        }),
    responses,
  };
}

const REQUEST_ID = {
  'X-Request-Id': { description: 'Under this id the log has the request', schema: { type: 'string' } },
};
const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds after which another try makes sense', schema: { type: 'string' } },
};

/** The codes that come with a status, from the table that the errors are made of. */
function describeStatus(status: number): string {
  const codes = Object.entries<ErrorEntry>(API_ERRORS).flatMap(([code, entry]) =>
    entry.status === status ? [code] : [],
  );
  return codes.map((code) => `\`${code}\``).join(', ');
}

/** OpenAPI 3.1's schemas are JSON schemas. */
function toSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const made: Record<string, unknown> = z.toJSONSchema(schema, { target: 'draft-2020-12', io });
  delete made['$schema'];
  return made;
}
