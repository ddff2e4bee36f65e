/** What commands on this machine ask of the service. From elsewhere, these routes do not exist. */
import { Router, type RequestHandler, type Response } from 'express';
import { z } from 'zod';

import { text } from '../config/fields.js';
import { modelName } from '../config/schema.js';
import { messageOf } from '../errors/message-of.js';
import { isDirect } from './direct-request.js';
import { onlyMethods } from './error-handler.js';
import { jsonBody } from './json-body.js';
import { readBody } from './read-body.js';
import { contextOf } from './request-context.js';
import type { ApiParts } from './router.js';

/** A connection on which nothing moves is given up by clients. */
const KEEP_ALIVE_MS = 10_000;

const orderBody = z.strictObject({
  path: text(4096).regex(/^\//, { error: 'an absolute path' }),
  name: modelName().nullish(),
  /** The name of the model whose place it takes. Default: the default one's. */
  replaces: text(256).nullish(),
});

export function operatorRouter(parts: ApiParts): Router {
  const router = Router();
  router
    .route('/operator/model')
    .all((req, _res, next) => next(isDirect(req) && parts.modelSwitch !== undefined ? undefined : 'route'))
    .post(parts.authenticate('admin'), jsonBody, switchHandler(parts))
    .all(onlyMethods('POST'));
  return router;
}

/** One step of a switch, as a line of JSON. The last line has `model`, or `error`. */
export type SwitchLine =
  | { readonly step: string }
  | { readonly model: string }
  | { readonly error: string }
  /** A sign of life. */
  | Record<string, never>;

function switchHandler({ modelSwitch, log }: ApiParts): RequestHandler {
  return async function switchModelHandler(req, res) {
    const { path, name, replaces } = readBody(orderBody, req.body, {});
    const { id, user } = contextOf(res);
    log.log('SEC', `req=${id} user=${user ?? '-'} orders a switch to ${path}`);
    res.status(200).type('application/x-ndjson').flushHeaders();
    const alive = setInterval(() => write(res, {}), KEEP_ALIVE_MS);
    try {
      const order = { path, name: name ?? undefined, replaces: replaces ?? undefined };
      const model = await modelSwitch?.run(order, (step) => write(res, { step }));
      write(res, { model: model ?? '' });
    } catch (error) {
      write(res, { error: messageOf(error) });
    } finally {
      clearInterval(alive);
      res.end();
    }
  };
}

function write(res: Response, line: SwitchLine): void {
  if (!res.destroyed) res.write(`${JSON.stringify(line)}\n`);
}
