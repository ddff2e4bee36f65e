/** What the console shows: how the service is, and the end of its log. */
import type { RequestHandler } from 'express';

import type { ApiParts } from './router.js';

export function adminStatus({ config, engine, admission, ring, version, isReady }: ApiParts): RequestHandler {
  return function adminStatusHandler(_req, res) {
    const { id, contextSize, sequences, notes } = engine.model;
    const { state, reason, running, waiting, restarts } = engine.status();
    res.set('Cache-Control', 'no-store').json({
      version,
      service: config.service,
      uptime_seconds: Math.round(process.uptime()),
      ready: isReady(),
      model: { id, context_size: contextSize, sequences, notes },
      engine: { state, reason: reason ?? null, running, waiting, restarts },
      limits: {
        max_queue: config.limits.max_queue,
        max_request_seconds: config.limits.max_request_seconds,
        max_tokens: config.max_tokens,
        temperature: config.temperature,
        requests_inside: admission.inside,
        requests_allowed: admission.capacity,
      },
      log: ring.lines(),
    });
  };
}
