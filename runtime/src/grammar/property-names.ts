import { SchemaError } from './schema-error.js';
import { ANNOTATIONS, isRecord, type Path, type SchemaObject } from './schema-reading.js';

/**
 * The names that `propertyNames` lists, as maps with keys of an enum have it; undefined where it allows every name.
 * @throws SchemaError for any other rule
 */
export function listedNames(schema: SchemaObject, path: Path): readonly string[] | undefined {
  const rule = schema['propertyNames'];
  if (rule === undefined || rule === true) return undefined;
  const place = [...path, 'propertyNames'];
  if (!isRecord(rule) || Array.isArray(rule)) throw new SchemaError(place, 'should be a JSON schema');
  const { type, enum: listed, const: only, ...others } = rule;
  const other = Object.keys(others).find((keyword) => !ANNOTATIONS.has(keyword));
  if (other !== undefined || (type !== undefined && type !== 'string')) {
    throw new SchemaError(
      [...place, other ?? 'type'],
      'is not supported for names; `type: "string"`, `enum` and `const` are',
    );
  }
  if (listed !== undefined && only !== undefined)
    throw new SchemaError([...place, 'const'], 'is not supported beside `enum`');
  const names: unknown = only === undefined ? listed : [only];
  if (names === undefined) return undefined;
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string')) {
    throw new SchemaError(place, 'should list texts');
  }
  if (Object.keys(schema['properties'] ?? {}).length > 0) {
    throw new SchemaError(place, 'is not supported with a list of names beside `properties`');
  }
  return names as string[];
}
