/** Checks what a route was sent, and refuses with the first thing that is wrong, in OpenAI's shape. */
import { z } from 'zod';

import { ApiError } from '../errors/api-error.js';
import type { ErrorCode } from '../errors/catalog.js';
import { explainIssues, type Complaint } from '../errors/validation.js';

const CODE_OF_KIND: Record<Complaint['kind'], ErrorCode> = {
  unknown: 'unknown_parameter',
  missing: 'missing_parameter',
  invalid: 'invalid_value',
};

/** `name` stands in for the field's name where the input is one value. @throws ApiError 400 */
export function parseWith<T extends z.ZodType>(schema: T, input: unknown, name?: string): z.output<T> {
  const whole = name === undefined ? schema : z.object({ [name]: schema });
  const given = name === undefined ? input : { [name]: input };
  const result = whole.safeParse(given);
  if (result.success) {
    return (name === undefined ? result.data : (result.data as Record<string, unknown>)[name]) as z.output<T>;
  }
  const keysAt = (path: readonly PropertyKey[]) =>
    path.length === 0 && whole instanceof z.ZodObject ? Object.keys(whole.shape) : [];
  const [complaint] = explainIssues(result.error, given, keysAt);
  if (complaint === undefined) throw new Error('zod refused a body without saying why');
  throw new ApiError(CODE_OF_KIND[complaint.kind], {
    values: { detail: complaint.text },
    ...(complaint.field === '' ? {} : { param: complaint.field }),
  });
}
