/** Reads what stands in a JSON schema, and says what is wrong with it. */
import { SchemaError } from './schema-error.js';

export type JsonSchema = boolean | { readonly [keyword: string]: unknown };
export type SchemaObject = { readonly [keyword: string]: unknown };
export type Path = readonly (string | number)[];

/** Keywords that say something about a value and demand nothing of it. */
export const ANNOTATIONS = new Set([
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  // OpenAPI's, beside `oneOf`: pydantic writes it.
  'discriminator',
]);
export const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'propertyNames'],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
};
export const TYPES = Object.keys(OF_TYPE);
const REMEDIES: Readonly<Record<string, string>> = {
  allOf: 'write its parts into one schema',
  multipleOf: 'use `type: "integer"`, or an `enum`',
  nullable: 'use `type: ["string", "null"]`',
};

/** Beyond it doubles are not exact. */
const LARGEST_BOUND = 1e15;
/** What schema libraries write for "any integer" (zod's `z.int()`) or "any float": no number generated is beyond it. */
const NO_BOUND = Number.MAX_SAFE_INTEGER;
const LOWER_BOUNDS = ['minimum', 'exclusiveMinimum'];

/** Undefined too where the bound leaves out no number that would be generated without it. */
export function bound(schema: SchemaObject, keyword: string, path: Path): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value === 'number') {
    if (LOWER_BOUNDS.includes(keyword) ? value <= -NO_BOUND : value >= NO_BOUND) return undefined;
  }
  if (typeof value !== 'number' || Math.abs(value) > LARGEST_BOUND) {
    throw new SchemaError(
      [...path, keyword],
      `should be a number from -${LARGEST_BOUND} to ${LARGEST_BOUND}`,
    );
  }
  return value;
}

export function count(schema: SchemaObject, keyword: string, path: Path, most: number): number | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw new SchemaError([...path, keyword], `should be an integer from 0 to ${most}`);
  }
  return value;
}

/** The types that `type` names; without it, those that the keywords are about. */
export function typesOf(schema: SchemaObject, keywords: readonly string[], path: Path): readonly string[] {
  const given = schema['type'];
  if (given === undefined) {
    const meant = TYPES.filter(
      (type) => type !== 'integer' && keywords.some((keyword) => OF_TYPE[type]?.includes(keyword)),
    );
    const [first] = keywords;
    if (meant.length === 0 && first !== undefined) throw unsupported(first, path, []);
    if (meant.length > 1)
      throw new SchemaError([...path, 'type'], 'is missing: the other keywords are about several types');
    return meant;
  }
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.length === 0 || list.some((type) => typeof type !== 'string' || !TYPES.includes(type))) {
    throw new SchemaError([...path, 'type'], `should be one of ${TYPES.join(', ')}, or a list of these`);
  }
  return list as string[];
}

export function unsupported(keyword: string, path: Path, types: readonly string[]): SchemaError {
  const remedy = REMEDIES[keyword];
  if (remedy !== undefined) return new SchemaError([...path, keyword], `is not supported; ${remedy}`);
  const belongs = TYPES.some((type) => OF_TYPE[type]?.includes(keyword));
  return new SchemaError(
    [...path, keyword],
    belongs && types.length > 0
      ? `is not supported for ${types.join(' and ')}`
      : 'is not supported by this service',
  );
}

export function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isRecord(value) && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

export function schemaList(given: unknown, path: Path): readonly JsonSchema[] {
  if (!Array.isArray(given) || given.length === 0)
    throw new SchemaError(path, 'should be a list of at least one schema');
  return given.map((schema, index) => asSchema(schema, [...path, index]));
}

export function asSchema(given: unknown, path: Path): JsonSchema {
  if (typeof given === 'boolean' || (isRecord(given) && !Array.isArray(given))) return given as JsonSchema;
  throw new SchemaError(path, 'should be a JSON schema: an object, true or false');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
