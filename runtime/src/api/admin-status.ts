/** What the console shows: how the service is, and, with a scope of its own, the end of its log. */
import type { RequestHandler } from 'express';

import type { ServedModel } from '../serving/served-models.js';
import { contextOf } from './request-context.js';
import type { ApiParts } from './router.js';

export function adminStatus({ config, models, version, isReady }: ApiParts): RequestHandler {
  return function adminStatusHandler(_req, res) {
    const { admission } = models.default;
    const [first, ...others] = models.all.map(described);
    res.set('Cache-Control', 'no-store').json({
      version,
      service: config.service,
      uptime_seconds: Math.round(process.uptime()),
      ready: isReady(),
      // The default one; the others, if any, beside it.
      ...first,
      other_models: others,
      limits: {
        max_queue: config.limits.max_queue,
        max_request_seconds: config.limits.max_request_seconds,
        max_tokens: config.max_tokens,
        temperature: config.temperature,
        requests_inside: admission.inside,
        requests_allowed: admission.capacity,
      },
      scopes: contextOf(res).identity?.scopes ?? [],
    });
  };
}

function described({ engine }: ServedModel) {
  const { id, contextSize, sequences, makes = 'text', notes } = engine.model;
  const { state, reason, running, waiting, restarts } = engine.status();
  return {
    model: { id, context_size: contextSize, sequences, makes, notes },
    engine: { state, reason: reason ?? null, running, waiting, restarts },
  };
}

export function adminLogs({ ring }: ApiParts): RequestHandler {
  return function adminLogsHandler(_req, res) {
    res.set('Cache-Control', 'no-store').json({ lines: ring.lines() });
  };
}
