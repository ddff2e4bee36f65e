/** The access policy for the console: read it, replace it. In force at once, without a restart. */
import type { RequestHandler } from 'express';
import { z } from 'zod';

import { ApiError } from '../errors/api-error.js';
import { PolicyError } from '../policy/read.js';
import { PolicyChanged } from '../policy/store.js';
import { readBody } from './read-body.js';
import { contextOf } from './request-context.js';
import type { ApiParts } from './router.js';

const replacementSchema = z.strictObject({
  /** Checked by the policy's own schema. */
  policy: z.unknown().refine((value) => value !== undefined, { error: 'an access policy' }),
  /** The one that the change is based on. */
  revision: z.string({ error: 'the `revision` that GET /admin/policy answered' }),
});

export function readPolicy({ policy }: ApiParts): RequestHandler {
  return function readPolicyHandler(_req, res) {
    res.set('Cache-Control', 'no-store').json({
      policy: policy.policy,
      revision: policy.revision,
      file: policy.file ?? null,
      problem: policy.problem ?? null,
    });
  };
}

export function replacePolicy(parts: ApiParts): RequestHandler {
  const answer = readPolicy(parts);
  return async function replacePolicyHandler(req, res, next) {
    const { policy, log } = parts;
    if (policy.file === undefined) throw new ApiError('no_state_directory');
    const given = readBody(replacementSchema, req.body, {});
    try {
      await policy.replace(given.policy, given.revision);
    } catch (error) {
      if (error instanceof PolicyChanged) throw new ApiError('policy_changed');
      if (!(error instanceof PolicyError)) throw error;
      throw new ApiError('invalid_policy', {
        values: { detail: error.problems.join('; ') },
        param: 'policy',
      });
    }
    const { id, user } = contextOf(res);
    log.log('SEC', `req=${id} user=${user ?? '-'} replaced the access policy with ${policy.revision}`);
    return answer(req, res, next);
  };
}
