/** Gives each request an id, and writes the one log line and the one count it leaves behind. */
import { randomUUID } from 'node:crypto';

import type { RequestHandler, Response } from 'express';

import type { Identity } from '../access/identity.js';
import type { RequestFigures } from '../metrics/cloudwatch.js';
import type { LogLevel, Logger } from '../log/logger.js';
import type { Metrics } from '../metrics/metrics.js';

/** What is learnt about a request on its way; ends in the log line. */
export interface RequestContext {
  readonly id: string;
  /** performance.now() at arrival. */
  readonly arrivedAt: number;
  /** Who sent it, once that is known: for the log. */
  user?: string;
  /** Who sent it, and what they may do. */
  identity?: Identity;
  /** Code of the error it was answered with, also of one in the middle of a stream. */
  errorCode?: string;
  /** Counts and times of a generation, `name=value` each. */
  readonly notes: string[];
  /** Times and tokens of a generation. */
  generation?: Omit<RequestFigures, 'failed'>;
  /** Milliseconds from handing the request to the engine to the end of its answer. */
  engineMs?: number;
  /** Work that may outlast the connection, and adds notes when it ends: the log line waits for it. */
  work?: Promise<void>;
}

/** Nginx's number for "the client closed the connection before the answer". */
const CLIENT_LEFT = 499;

/** The console's own files, and paths that do not exist. */
const NO_ROUTE = 'other';

/** Routes whose requests say nothing of the service's work: probes, and the administrators' own. */
const isWork = (route: string) => route.startsWith('/v1/') || route.startsWith('/api/');

/** Probes, scrapes and what the console reads that went well are counted but not logged: they would be most of the log. */
const QUIET_ROUTES = new Set(['/health', '/readyz', '/metrics', '/admin/status', '/admin/logs', NO_ROUTE]);

const contexts = new WeakMap<Response, RequestContext>();

/** The context that `requestContext` gave to this response. */
export function contextOf(res: Response): RequestContext {
  const context = contexts.get(res);
  if (context === undefined) throw new Error('requestContext must come before every other handler');
  return context;
}

export function requestContext(log: Logger, metrics: Metrics): RequestHandler {
  return function requestContextHandler(req, res, next) {
    const context: RequestContext = {
      id: acceptableId(req.get('x-request-id')) ?? randomUUID(),
      arrivedAt: performance.now(),
      notes: [],
    };
    contexts.set(res, context);
    res.set('X-Request-Id', context.id);

    const leaveLine = () => {
      const status = res.writableFinished ? res.statusCode : CLIENT_LEFT;
      // The route's pattern, not the path: paths are the client's choice, and each would be a series of its own.
      const route = typeof req.route?.path === 'string' ? req.route.path : NO_ROUTE;
      metrics.requests.inc({ route, status, code: context.errorCode ?? '' });
      const failed = status >= 500 || (status === 200 && context.errorCode !== undefined);
      if (isWork(route)) metrics.recordRequest?.({ ...context.generation, failed });
      if (QUIET_ROUTES.has(route) && (status === 200 || status === 304)) return;
      // "Not ready" is asked for several times a second while a model is loaded; the engine logs its own state.
      if (route === '/readyz') return;

      const seconds = ((performance.now() - context.arrivedAt) / 1000).toFixed(3);
      const level = levelOf(status, context);
      const details = [
        `req=${context.id}`,
        `user=${context.user ?? '-'}`,
        ...(level === 'SEC' ? [`address=${req.ip ?? '-'}`] : []),
        req.method,
        req.path.slice(0, 128),
        status,
        ...(context.errorCode === undefined ? [] : [`error=${context.errorCode}`]),
        ...context.notes,
        `total=${seconds}s`,
      ];
      log.log(level, details.join(' '));
    };
    res.once('close', () => void (context.work ?? Promise.resolve()).then(leaveLine));
    next();
  };
}

function levelOf(status: number, context: RequestContext): LogLevel {
  if (status === 401 || status === 403 || context.errorCode === 'too_many_failed_logins') return 'SEC';
  if (status === 429 || status === 503) return 'WRN';
  // A stream that broke was answered with 200.
  if (status >= 500 || (status === 200 && context.errorCode !== undefined)) return 'ERR';
  return 'INF';
}

/** A client's own id, if it is safe to repeat in headers and logs. */
function acceptableId(id: string | undefined): string | undefined {
  return id !== undefined && /^[\w.-]{1,64}$/.test(id) ? id : undefined;
}
