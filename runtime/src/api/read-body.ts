/** Checks a body against its schema, and makes the first thing that is wrong the answer. */
import { z } from 'zod';

import { ApiError } from '../errors/api-error.js';
import type { ErrorCode } from '../errors/catalog.js';
import { explainIssues, type Complaint } from '../errors/validation.js';
import { SchemaError } from '../grammar/schema-error.js';
import { SchemaGrammar } from '../grammar/schema-grammar.js';
import { fieldName } from '../errors/validation.js';
import type { UnsupportedTable } from './unsupported.js';

const CODE_OF_KIND: Record<Complaint['kind'], ErrorCode> = {
  unknown: 'unknown_parameter',
  missing: 'missing_parameter',
  invalid: 'invalid_value',
};

/** @throws ApiError 400 */
export function readBody<Schema extends z.ZodObject>(
  schema: Schema,
  input: unknown,
  unsupportedFields: UnsupportedTable,
): z.output<Schema> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ApiError('invalid_value', { values: { detail: 'Expected the body to be a JSON object' } });
  }
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const complaint = explainIssues(result.error, input, schema)[0];
  if (complaint === undefined) throw new Error('zod refused a body without saying why');
  const [field = ''] = complaint.field.split(/[.[]/);
  const entry = Object.hasOwn(unsupportedFields, field) ? unsupportedFields[field] : undefined;
  if (entry !== undefined) throw unsupported(field, entry.why);
  throw new ApiError(CODE_OF_KIND[complaint.kind], {
    values: { detail: complaint.text },
    ...(complaint.field === '' ? {} : { param: complaint.field }),
  });
}

export function invalid(param: string, detail: string): ApiError {
  return new ApiError('invalid_value', { values: { detail }, param });
}

export function unsupported(param: string, detail: string): ApiError {
  return new ApiError('unsupported_parameter', { values: { detail }, param });
}

/** @throws ApiError 404 */
export function requireModel(model: string | null | undefined, served: readonly string[]): void {
  if (model === undefined || model === null || served.includes(model)) return;
  const values = { model: model.slice(0, 128), available: served.join(', ') };
  throw new ApiError('model_not_found', { values, param: 'model' });
}

/**
 * That a grammar can be made of it, or, for a remote service, that it can be sent. `path` is where it stands in the
 * body. @throws ApiError 400, with the keyword
 */
export function requireUsableSchema(
  schema: unknown,
  path: readonly (string | number)[],
  isRemote: boolean,
): void {
  try {
    // What nests deeper than the stack cannot travel to the engine.
    JSON.stringify(schema);
  } catch {
    throw invalid(fieldName(path), `\`${fieldName(path)}\` is nested too deeply`);
  }
  if (isRemote) return;
  try {
    new SchemaGrammar(schema, path).expression();
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const param = fieldName(error.path);
    const detail = `\`${param}\` ${error.reason}`;
    if (!/not supported/.test(error.reason)) throw invalid(param, detail);
    // The catalogue's sentence says "is not supported" itself, and this place's own says more.
    throw new ApiError('unsupported_parameter', { message: detail, param });
  }
}
