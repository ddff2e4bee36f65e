/**
 * Builders for validated fields. The message of each check is the rest of the sentence "Expected `field` to be …":
 * `explainIssues` (errors/validation.ts) puts field and value around it, for the config file and for requests alike.
 */
import { z } from 'zod';

export function integer(min: number, max: number) {
  const error = `an integer from ${min} to ${max}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

export function numberBetween(min: number, max: number) {
  const error = `a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
}

export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, { error: `one of ${values.join(', ')}` });
}

/** A text of 1 to `max` characters. */
export function text(max = 1024) {
  const error = `a text of 1 to ${max} characters (numbers in quotes)`;
  return z.string({ error }).min(1, { error }).max(max, { error });
}

export function flag() {
  return z.boolean({ error: 'true or false' });
}
