/** The console's own routes: on its port only, which listens on loopback. */
import { Router } from 'express';

import { readPolicy, replacePolicy } from './admin-policy.js';
import { adminLogs, adminStatus } from './admin-status.js';
import { issueToken, listTokens, revokeToken, revokeUser } from './admin-tokens.js';
import { onlyMethods } from './error-handler.js';
import { jsonBody } from './json-body.js';
import type { ApiParts } from './router.js';

/** For the message that answers an unknown path. */
export const ADMIN_ROUTES = [
  'GET /admin/status',
  'GET /admin/logs',
  'GET|POST|DELETE /admin/tokens',
  'DELETE /admin/tokens/{id}',
  'GET|PUT /admin/policy',
] as const;

export function adminRouter(parts: ApiParts): Router {
  const router = Router();
  const { authenticate } = parts;
  const admin = authenticate('admin');

  router
    .route('/admin/status')
    .get(authenticate('chat', 'metrics:read', 'logs:read'), adminStatus(parts))
    .all(onlyMethods('GET', 'HEAD'));
  router
    .route('/admin/logs')
    .get(authenticate('logs:read'), adminLogs(parts))
    .all(onlyMethods('GET', 'HEAD'));

  router
    .route('/admin/tokens')
    .get(admin, listTokens(parts))
    .post(admin, jsonBody, issueToken(parts))
    .delete(admin, revokeUser(parts))
    .all(onlyMethods('GET', 'HEAD', 'POST', 'DELETE'));
  router.route('/admin/tokens/:id').delete(admin, revokeToken(parts)).all(onlyMethods('DELETE'));

  router
    .route('/admin/policy')
    .get(admin, readPolicy(parts))
    .put(admin, jsonBody, replacePolicy(parts))
    .all(onlyMethods('GET', 'HEAD', 'PUT'));

  return router;
}
