import { z } from 'zod';

/** The keys that a schema allows in the object at a path, for "did you mean"; none where there is no such object. */
export function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): readonly string[] {
  if (schema instanceof z.ZodUnion) return [...new Set(schema.options.flatMap((one) => keysAt(one, path)))];
  const inner = unwrapped(schema);
  if (inner !== undefined) return keysAt(inner, path);
  const [key, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    if (key === undefined) return Object.keys(schema.shape);
    const property = Object.hasOwn(schema.shape, key) ? schema.shape[String(key)] : undefined;
    return property === undefined ? [] : keysAt(property as z.core.$ZodType, rest);
  }
  if (key === undefined) return [];
  if (schema instanceof z.ZodArray) return keysAt(schema.element, rest);
  return schema instanceof z.ZodRecord ? keysAt(schema.valueType, rest) : [];
}

/** What a schema that changes only what surrounds another one is about. */
function unwrapped(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPipe) return schema.in instanceof z.ZodTransform ? schema.out : schema.in;
  const isWrapper =
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodLazy;
  return isWrapper ? schema.unwrap() : undefined;
}
