/** The two express apps: the API behind nginx, and the console with the same API beside it. */
import express, { type Express } from 'express';
import helmet from 'helmet';

import { ADMIN_ROUTES, adminRouter } from './admin-router.js';
import { errorHandler, notFound } from './error-handler.js';
import { operatorRouter } from './operator-router.js';
import { requestContext } from './request-context.js';
import { API_ROUTES, apiRouter, type ApiParts } from './router.js';

export function createApiApp(parts: ApiParts): Express {
  const app = baseApp(parts, true);
  app.use(
    helmet({ ...COMMON_HEADERS, contentSecurityPolicy: { useDefaults: false, directives: NOTHING_ALLOWED } }),
  );
  app.use(apiRouter(parts));
  app.use(operatorRouter(parts));
  app.use(notFound(API_ROUTES));
  app.use(errorHandler(parts.log));
  return app;
}

/** `directory` holds the console's static files. */
export function createConsoleApp(parts: ApiParts, directory: string): Express {
  const app = baseApp(parts, parts.config.network.console_proxied);
  app.use(
    helmet({ ...COMMON_HEADERS, contentSecurityPolicy: { useDefaults: false, directives: CONSOLE_POLICY } }),
  );
  app.use(apiRouter(parts));
  app.use(adminRouter(parts));
  app.use(express.static(directory, { cacheControl: true, maxAge: 0, redirect: false }));
  app.use(notFound([...API_ROUTES, ...ADMIN_ROUTES, 'GET /']));
  app.use(errorHandler(parts.log));
  return app;
}

/** HSTS is nginx's to send, on the port that has TLS. */
const COMMON_HEADERS = { strictTransportSecurity: false } as const;

const NOTHING_ALLOWED = { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] };

/** Own files and own API only: no inline script, nothing from elsewhere, no frames. */
const CONSOLE_POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};

/** `isProxied`: nginx is in front, and says in X-Forwarded-For who asks. Without it that header is the client's own. */
function baseApp(parts: ApiParts, isProxied: boolean): Express {
  const app = express();
  app.disable('x-powered-by');
  // Answers are never the same twice: hashing them is work for nothing.
  app.disable('etag');
  if (isProxied) app.set('trust proxy', 'loopback');
  app.set('query parser', 'simple');
  app.use(requestContext(parts.log, parts.metrics));
  return app;
}
