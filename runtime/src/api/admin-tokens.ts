/** The register of access tokens for the console: list, issue, revoke. Every change leaves a [SEC] line. */
import type { RequestHandler, Response } from 'express';
import { z } from 'zod';

import { RegisterError } from '../access/register-file.js';
import type { TokenRegister } from '../access/token-register.js';
import { tokenOrderSchema, userSchema } from '../access/token-order.js';
import { ApiError } from '../errors/api-error.js';
import { readBody } from './read-body.js';
import { contextOf } from './request-context.js';
import type { ApiParts } from './router.js';

const querySchema = z.strictObject({ user: userSchema });

export function listTokens(parts: ApiParts): RequestHandler {
  return function listTokensHandler(_req, res) {
    const tokens = usable(parts, (register) => register.list());
    noStore(res).json({
      tokens: tokens.map(({ id, user, scopes, issuedAt, expiresAt, revokedAt, issuedBy }) => ({
        id,
        user,
        scopes,
        issued_at: issuedAt,
        expires_at: expiresAt,
        revoked_at: revokedAt ?? null,
        issued_by: issuedBy ?? null,
      })),
    });
  };
}

export function issueToken(parts: ApiParts): RequestHandler {
  return async function issueTokenHandler(req, res) {
    const order = readBody(tokenOrderSchema, req.body, {});
    const { token, id, expiresAt } = await usable(parts, (register) =>
      register.issue({
        user: order.user,
        scopes: order.scopes,
        expirySeconds: order.expiry_seconds,
        issuedBy: actor(res),
      }),
    );
    parts.log.log(
      'SEC',
      `req=${contextOf(res).id} user=${actor(res)} issued token ${id} to ${order.user} ` +
        `(${order.scopes.join(' ')}, ${order.expiry_seconds} s)`,
    );
    const expires_at = Math.floor(expiresAt.getTime() / 1000);
    noStore(res).status(201).json({ token, id, user: order.user, scopes: order.scopes, expires_at });
  };
}

export function revokeToken(parts: ApiParts): RequestHandler {
  return async function revokeTokenHandler(req, res) {
    const id = String(req.params['id']);
    const known = usable(parts, (register) => register.list()).some((token) => token.id === id);
    if (!known) throw new ApiError('token_not_found', { values: { id: id.slice(0, 128) } });
    await usable(parts, (register) => register.revoke(id));
    parts.log.log('SEC', `req=${contextOf(res).id} user=${actor(res)} revoked token ${id}`);
    res.status(204).end();
  };
}

/** `DELETE /admin/tokens?user=NAME` */
export function revokeUser(parts: ApiParts): RequestHandler {
  return async function revokeUserHandler(req, res) {
    const { user } = readBody(querySchema, req.query, {});
    const revoked = await usable(parts, (register) => register.revokeUser(user));
    parts.log.log(
      'SEC',
      `req=${contextOf(res).id} user=${actor(res)} revoked all tokens of ${user} (${revoked})`,
    );
    noStore(res).json({ revoked });
  };
}

function usable<T>({ register }: ApiParts, use: (register: TokenRegister) => T): T {
  const refuse = (error: unknown): never => {
    if (error instanceof RegisterError) throw new ApiError('token_register_unavailable');
    throw error;
  };
  if (register === undefined) throw new ApiError('no_state_directory');
  try {
    const result = use(register);
    return result instanceof Promise ? (result.catch(refuse) as T) : result;
  } catch (error) {
    return refuse(error);
  }
}

function actor(res: Response): string {
  return contextOf(res).identity?.user ?? '-';
}

function noStore(res: Response): Response {
  return res.set('Cache-Control', 'no-store');
}
