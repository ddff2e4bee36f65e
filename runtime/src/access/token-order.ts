/** What may be asked of a new access token: the same on the command line and in the console. */
import { z } from 'zod';

import { integer } from '../config/fields.js';
import { MAX_EXPIRY_SECONDS } from './register-content.js';
import { DEFAULT_SCOPES, SCOPES } from './scopes.js';

export const DEFAULT_EXPIRY_SECONDS = 24 * 3600;

const USER = '1 to 64 letters, digits and . _ @ -, beginning with a letter or digit';
const SCOPE = `one of ${SCOPES.join(', ')}`;
const SCOPE_LIST = `a list of one or more of ${SCOPES.join(', ')}`;

export const userSchema = z.string({ error: USER }).regex(/^[A-Za-z0-9][\w.@-]{0,63}$/, { error: USER });

export const tokenOrderSchema = z.strictObject({
  /** Who the token is for: stands in the log. */
  user: userSchema,
  scopes: z
    .array(z.enum(SCOPES, { error: SCOPE }), { error: SCOPE_LIST })
    .min(1, { error: SCOPE_LIST })
    .default([...DEFAULT_SCOPES]),
  /** At most 90 days: no token outlives the API key's own. */
  expiry_seconds: integer(1, MAX_EXPIRY_SECONDS).default(DEFAULT_EXPIRY_SECONDS),
});
