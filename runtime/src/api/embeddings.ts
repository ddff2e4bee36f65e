/** `/v1/embeddings`: one vector for each text, by a model that makes them. */
import type { Request, RequestHandler, Response } from 'express';
import { z } from 'zod';

import { integer, oneOf, text } from '../config/fields.js';
import type { Embeddings, EmbedRequest } from '../engine/engine.js';
import { ApiError } from '../errors/api-error.js';
import { toApiError } from '../errors/from-engine.js';
import { Turn } from '../policy/slices.js';
import type { ServedModel, ServedModels } from '../serving/served-models.js';
import { bodySchema } from './body-schema.js';
import { ClientLeft, stopError } from './generation.js';
import { readBody, requireModel, unsupported } from './read-body.js';
import { contextOf, type RequestContext } from './request-context.js';
import { modelField, type BodyRules } from './sampling-fields.js';
import { enter, hitReport, requireClient, untilClientLeaves, type StartOptions } from './start-generation.js';
import { screenTexts } from './word-filter.js';

/** OpenAI's. */
const MOST_INPUTS = 2048;
const MOST_DIMENSIONS = 65_536;

const INPUT = `a text, a list of up to ${MOST_INPUTS} texts, or token numbers of the model (a list, or a list of lists); none empty`;
const inputText = z.string({ error: INPUT }).min(1, { error: INPUT });
const inputTokens = z
  .array(z.int({ error: INPUT }).min(0, { error: INPUT }), { error: INPUT })
  .min(1, { error: INPUT });
const listOf = <Input extends z.ZodType>(input: Input) =>
  z.array(input, { error: INPUT }).min(1, { error: INPUT }).max(MOST_INPUTS, { error: INPUT });

export const embeddingsBody = bodySchema((rules: Pick<BodyRules, 'models' | 'modelRequired'>) => {
  return z.strictObject({
    model: modelField(rules),
    input: z.union([inputText, listOf(inputText), inputTokens, listOf(inputTokens)], { error: INPUT }),
    encoding_format: oneOf(['float', 'base64']).nullish(),
    dimensions: integer(1, MOST_DIMENSIONS).nullish(),
    user: text(512).nullish(),
  });
});
type EmbeddingsBody = z.output<ReturnType<typeof embeddingsBody>>;

export interface EmbeddingsOptions extends StartOptions {
  readonly models: ServedModels;
}

export function embeddingsHandler(options: EmbeddingsOptions): RequestHandler {
  return async function embeddings(req: Request, res: Response) {
    const { models } = options;
    const body = readBody(embeddingsBody({ models: models.names, modelRequired: true }), req.body, {});
    requireModel(body.model, models.names);
    const served = models.chosenBy(body);
    const controller = untilClientLeaves(res);
    try {
      const read = await readRequest(body, served, controller, res, options);
      const request = { id: contextOf(res).id, ...read };
      const result = await embed(request, served, controller, res, options);
      res.json(answer(result, served.engine.model.id, body.encoding_format ?? 'float'));
    } catch (error) {
      if (!(error instanceof ClientLeft)) throw error;
    }
  };
}

/** @throws ApiError */
async function readRequest(
  body: EmbeddingsBody,
  { engine }: ServedModel,
  controller: AbortController,
  res: Response,
  { policy, log }: EmbeddingsOptions,
): Promise<Omit<EmbedRequest, 'id'>> {
  const { makes = 'text', dimensions: own } = engine.model;
  // What a model makes is known once it is loaded; until then it says that it is not ready.
  if (makes === 'text' && engine.status().state === 'ready')
    throw new ApiError('embeddings_unsupported', { param: 'model' });
  const dimensions = body.dimensions ?? undefined;
  // A model that was not trained for it is only made worse by cutting its vectors.
  if (own !== undefined && dimensions !== undefined && dimensions !== own) {
    throw unsupported('dimensions', `this model's vectors have ${own} dimensions`);
  }
  const inputs = toInputs(body.input);
  const texts = inputs.filter((input) => typeof input === 'string');
  if (texts.length === 0 && !policy.input.isEmpty) {
    throw unsupported(
      'input',
      'tokens are not accepted while its access policy filters what is sent; send texts',
    );
  }
  const report = hitReport(contextOf(res), log);
  const turn = new Turn(() => requireClient(controller));
  return {
    inputs: texts.length === 0 ? inputs : await screenTexts(texts, policy.input, report, turn),
    ...(dimensions === undefined ? {} : { dimensions }),
  };
}

/** The schema allows texts or tokens, not both in one list. */
function toInputs(input: EmbeddingsBody['input']): EmbedRequest['inputs'] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as string[] | number[][]);
}

/** @throws ApiError, ClientLeft */
async function embed(
  request: EmbedRequest,
  served: ServedModel,
  controller: AbortController,
  res: Response,
  { metrics, policy }: EmbeddingsOptions,
): Promise<Embeddings> {
  const context = contextOf(res);
  const { ticket, seconds } = enter(controller, context, { served, policy });
  const timer = setTimeout(() => ticket.stop('deadline'), seconds * 1000);
  let isMade = false;
  try {
    const result = await served.engine.embed(request, ticket.signal);
    isMade = true;
    const labels = { model: served.engine.model.id };
    metrics.promptTokens.inc(labels, result.promptTokens);
    metrics.requestLatency.observe(labels, sinceArrival(context));
    context.notes.push(`inputs=${request.inputs.length}`, `prompt=${result.promptTokens}`);
    return result;
  } catch (error) {
    // That its turn had come is not known here: what waited for it in vain is told the same.
    if (ticket.signal.aborted) throw stopError(ticket.signal, true, seconds);
    throw toApiError(error, context.id, 'input');
  } finally {
    clearTimeout(timer);
    ticket.release(isMade);
  }
}

function sinceArrival({ arrivedAt }: RequestContext): number {
  return (performance.now() - arrivedAt) / 1000;
}

function answer({ vectors, promptTokens }: Embeddings, model: string, format: 'float' | 'base64'): object {
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: format === 'float' ? [...vector] : toBase64(vector),
    })),
    model,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  };
}

/** 32-bit floats, little-endian, as OpenAI's clients read them. */
function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
