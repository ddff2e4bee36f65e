/** The last handlers: what matches no route, and what went wrong anywhere. */
import type { ErrorRequestHandler, RequestHandler } from 'express';

import { ApiError } from '../errors/api-error.js';
import { toApiError } from '../errors/from-engine.js';
import type { Logger } from '../log/logger.js';
import { contextOf } from './request-context.js';

/** Refuses every method of a path but those given. Comes after the path's handlers. */
export function onlyMethods(...methods: readonly string[]): RequestHandler {
  const allowed = methods.join(', ');
  return function onlyMethodsHandler(req) {
    throw new ApiError('method_not_allowed', {
      values: { path: req.path, method: req.method, allowed },
      headers: { Allow: allowed },
    });
  };
}

export function notFound(routes: readonly string[]): RequestHandler {
  return function notFoundHandler(req) {
    throw new ApiError('not_found', { values: { path: req.path.slice(0, 128), routes: routes.join(', ') } });
  };
}

export function errorHandler(log: Logger): ErrorRequestHandler {
  return function errorHandlerHandler(error: unknown, _req, res, next) {
    const context = contextOf(res);
    const apiError = fromExpress(error) ?? toApiError(error, context.id);
    context.errorCode = apiError.code;
    if (apiError.code === 'internal_error') {
      log.log(
        'ERR',
        `req=${context.id} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
    // Too late for a status: closing the connection is the only way to say that the answer is not whole.
    if (res.headersSent) return next(error);
    res.status(apiError.status).set(apiError.headers).json(apiError.toBody());
  };
}

/** Express raises these itself, for paths with a broken %-escape. */
function fromExpress(error: unknown): ApiError | undefined {
  if (!(error instanceof URIError)) return undefined;
  return new ApiError('invalid_value', {
    values: { detail: 'Expected the path to be valid percent-encoding' },
  });
}
