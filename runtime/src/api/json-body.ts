/** Reads JSON bodies, and says what is wrong with others. */
import express, { type RequestHandler } from 'express';

import { ApiError } from '../errors/api-error.js';

/** The longest context there is takes some 500 KB of text. */
const LIMIT_BYTES = 1024 * 1024;

const parse = express.json({ limit: LIMIT_BYTES, type: () => true, strict: false });

export const jsonBody: RequestHandler = function jsonBodyHandler(req, res, next) {
  const type = req.get('content-type');
  if (type === undefined || !/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError('unsupported_media_type', { values: { type: type?.slice(0, 64) ?? 'not given' } });
  }
  parse(req, res, (error?: unknown) => next(error === undefined ? undefined : translate(error)));
};

/** body-parser's errors carry a `type`. */
function translate(error: unknown): unknown {
  const { type, message } = error as { type?: string; message?: string };
  switch (type ?? '') {
    case 'entity.too.large':
      return new ApiError('payload_too_large', { values: { limit: '1 MB' } });
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new ApiError('unsupported_media_type', { values: { type: message ?? 'not readable' } });
    case 'entity.parse.failed':
    case 'request.aborted':
    case 'request.size.invalid':
      return new ApiError('invalid_json', { values: { detail: message ?? 'it is incomplete' } });
    default:
      // zlib's errors, for a body that claims to be compressed and is not.
      return new ApiError('invalid_json', { values: { detail: 'it cannot be read' } });
  }
}
