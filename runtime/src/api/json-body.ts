/** Reads JSON bodies, and says what is wrong with others. */
import { isUtf8 } from 'node:buffer';

import express, { type RequestHandler } from 'express';

import { ApiError } from '../errors/api-error.js';

/** The longest context there is takes some 500 KB of text. */
const LIMIT_BYTES = 1024 * 1024;

const JSON_TYPE = /^application\/json\s*(;|$)/i;
const OTHER_CHARSET = /;\s*charset\s*=\s*"?(?!utf-?8["\s;]*($|;))([^";\s]*)/i;

class UnreadableBody extends Error {
  readonly type = 'entity.parse.failed';
}

const parse = express.json({
  limit: LIMIT_BYTES,
  type: () => true,
  strict: false,
  verify(_req, _res, bytes) {
    if (bytes.length === 0) throw new UnreadableBody('it is empty');
    // Decoding would put U+FFFD in the place of what is broken, and the model would answer something nobody asked.
    if (!isUtf8(bytes)) throw new UnreadableBody('it is not valid UTF-8');
  },
});

export const jsonBody: RequestHandler = function jsonBodyHandler(req, res, next) {
  const type = req.get('content-type') ?? '';
  if (!JSON_TYPE.test(type) || OTHER_CHARSET.test(type)) {
    throw new ApiError('unsupported_media_type', { values: { type: type.slice(0, 64) || 'not given' } });
  }
  parse(req, res, (error?: unknown) => {
    if (error !== undefined) next(translate(error, req.get('content-encoding')));
    else if (req.body === undefined)
      next(new ApiError('invalid_json', { values: { detail: 'it is empty' } }));
    else next();
  });
};

/** body-parser's errors carry a `type`. */
function translate(error: unknown, encoding = ''): unknown {
  const { type, message } = error as { type?: string; message?: string };
  switch (type ?? '') {
    case 'entity.too.large':
      return new ApiError('payload_too_large', { values: { limit: '1 MB' } });
    case 'encoding.unsupported':
      return new ApiError('unsupported_media_type', {
        values: { type: `JSON in the encoding ${JSON.stringify(encoding.slice(0, 32))}, which is not known` },
      });
    case 'charset.unsupported':
      return new ApiError('unsupported_media_type', { values: { type: message ?? 'not readable' } });
    case 'entity.parse.failed':
    case 'request.aborted':
    case 'request.size.invalid':
      return new ApiError('invalid_json', { values: { detail: message ?? 'it is incomplete' } });
    default: {
      // zlib's errors, for a body that claims to be compressed and is not.
      const name = encoding.slice(0, 32);
      const detail = `the header says Content-Encoding: ${name}, but it is not in that encoding (${message ?? 'it cannot be read'})`;
      return new ApiError('invalid_json', { values: { detail } });
    }
  }
}
