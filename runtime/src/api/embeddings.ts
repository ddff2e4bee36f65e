/** `/v1/embeddings`: refused, with a word for why, by a service whose models answer. */
import type { RequestHandler } from 'express';
import { z } from 'zod';

import { integer, oneOf, text } from '../config/fields.js';
import type { Engine } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { readBody, requireModel } from './read-body.js';
import { modelField, type BodyRules } from './sampling-fields.js';

const INPUT = 'a text, or a list of texts, none empty';
const inputText = z.string({ error: INPUT }).min(1, { error: INPUT });

export function embeddingsBody(rules: Pick<BodyRules, 'models' | 'modelRequired'>) {
  return z.strictObject({
    model: modelField(rules),
    input: z.union([inputText, z.array(inputText).min(1, { error: INPUT }).max(2048, { error: INPUT })], {
      error: INPUT,
    }),
    encoding_format: oneOf(['float', 'base64']).nullish(),
    dimensions: integer(1, 65_536).nullish(),
    user: text(512).nullish(),
  });
}

export function embeddingsHandler(engine: Engine): RequestHandler {
  return function embeddings(req) {
    const body = readBody(embeddingsBody({ models: [engine.model.id], modelRequired: true }), req.body, {});
    requireModel(body.model, [engine.model.id]);
    throw new ApiError('embeddings_unsupported', { values: { model: engine.model.id }, param: 'model' });
  };
}
