/** Every route of the API. The console's app mounts the same router, so that both ports behave alike. */
import { Router } from 'express';

import type { Authenticate } from '../access/bearer-auth.js';
import type { TokenRegister } from '../access/token-register.js';
import type { BotConfig } from '../config/schema.js';
import { ENGINE_RETRY_SECONDS } from '../errors/from-engine.js';
import type { Logger } from '../log/logger.js';
import type { LogRing } from '../log/sinks.js';
import type { Metrics } from '../metrics/metrics.js';
import type { PolicyStore } from '../policy/store.js';
import type { ModelSwitch } from '../serving/model-switch.js';
import type { ServedModels } from '../serving/served-models.js';
import type { AnsweringOptions } from './answering.js';
import { chatHandler } from './chat.js';
import { completionHandler } from './completion.js';
import { isDirect } from './direct-request.js';
import { embeddingsHandler } from './embeddings.js';
import { onlyMethods } from './error-handler.js';
import { jsonBody } from './json-body.js';
import { requireModel } from './read-body.js';
import { responseHandler } from './response.js';

/** What the routes work with. One set per process, shared by both ports. */
export interface ApiParts {
  readonly config: BotConfig;
  readonly models: ServedModels;
  /** Guards a route: who sent the request, and may they? */
  readonly authenticate: Authenticate;
  /** Undefined where the service has no folder to keep it in. */
  readonly register: TokenRegister | undefined;
  readonly policy: PolicyStore;
  readonly metrics: Metrics;
  /** Undefined where models cannot be switched. */
  readonly modelSwitch: ModelSwitch | undefined;
  readonly log: Logger;
  readonly ring: LogRing;
  readonly version: string;
  /** Unix time in seconds. */
  readonly startedAt: number;
  /** False before the model has answered and from the start of shutdown. */
  isReady(): boolean;
}

/** For the message that answers an unknown path. */
export const API_ROUTES = [
  'POST /v1/chat/completions',
  'POST /v1/completions',
  'POST /v1/responses',
  'POST /v1/embeddings',
  'POST /api/v1/chat',
  'GET /v1/models',
  'GET /openapi.json',
  'GET /health',
  'GET /readyz',
  'GET /metrics',
] as const;

export function apiRouter(parts: ApiParts): Router {
  const { config, models } = parts;
  const router = Router();
  const authenticated = parts.authenticate('chat');
  const mayReadMetrics = parts.authenticate('metrics:read');

  const answering: AnsweringOptions = {
    models,
    metrics: parts.metrics,
    log: parts.log,
    policy: parts.policy,
    defaults: { maxTokens: config.max_tokens, temperature: config.temperature },
  };

  router
    .route('/v1/chat/completions')
    .post(authenticated, jsonBody, chatHandler(answering, { modelRequired: true }))
    .all(onlyMethods('POST'));
  router
    .route('/api/v1/chat')
    .post(authenticated, jsonBody, chatHandler(answering, { modelRequired: false }))
    .all(onlyMethods('POST'));

  router
    .route('/v1/completions')
    .post(authenticated, jsonBody, completionHandler(answering))
    .all(onlyMethods('POST'));
  router
    .route('/v1/responses')
    .post(authenticated, jsonBody, responseHandler(answering))
    .all(onlyMethods('POST'));
  router
    .route('/v1/embeddings')
    .post(authenticated, jsonBody, embeddingsHandler(answering))
    .all(onlyMethods('POST'));

  const modelEntry = (id: string) => ({
    id,
    object: 'model',
    created: parts.startedAt,
    owned_by: 'botstack',
  });
  router
    .route('/v1/models')
    .get(authenticated, (_req, res) => void res.json({ object: 'list', data: models.names.map(modelEntry) }))
    .all(onlyMethods('GET', 'HEAD'));
  router
    .route('/v1/models/*id')
    .get(authenticated, (req, res) => {
      // Names may hold slashes.
      const model = ([] as string[]).concat(req.params['id'] ?? []).join('/');
      requireModel(model, models.names);
      res.json(modelEntry(model));
    })
    .all(onlyMethods('GET', 'HEAD'));

  router
    .route('/openapi.json')
    // Read by few, once each: made when somebody asks.
    .get(async (_req, res) => {
      const { openApiDocument } = await import('./openapi/document.js');
      const contextSize = Math.max(...models.all.map(({ engine }) => engine.model.contextSize));
      res.json(openApiDocument({ version: parts.version, models: models.names, contextSize }));
    })
    .all(onlyMethods('GET', 'HEAD'));

  // Probes say nothing that a stranger could use.
  router
    .route('/health')
    .get((_req, res) => void res.json({ status: 'ok' }))
    .post((_req, res) => void res.json({ status: 'ok' }))
    .all(onlyMethods('GET', 'HEAD', 'POST'));
  router
    .route('/readyz')
    .get((_req, res) => {
      if (parts.isReady()) res.json({ status: 'ready' });
      else res.status(503).set('Retry-After', String(ENGINE_RETRY_SECONDS)).json({ status: 'not ready' });
    })
    .all(onlyMethods('GET', 'HEAD'));

  router
    .route('/metrics')
    .get(
      // A scraper on this machine needs no key; what comes through a proxy does.
      (req, res, next) => (isDirect(req) ? next() : mayReadMetrics(req, res, next)),
      async (_req, res) => {
        res.type(parts.metrics.registry.contentType).send(await parts.metrics.registry.metrics());
      },
    )
    .all(onlyMethods('GET', 'HEAD'));

  return router;
}
