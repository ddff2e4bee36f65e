/** What a JSON schema says to the model, for the word rules: free text, and names and values that answers repeat. */
import { FORMATS } from '../grammar/formats.js';
import { ANNOTATIONS, isRecord, OF_TYPE, TYPES } from '../grammar/schema-reading.js';

export interface SchemaTexts {
  /** Says what something is for. Returns what takes its place. */
  free(text: string): Promise<string>;
  /** A name or a value: the caller's program knows it by these letters. Of many, most are nothing to wait for. */
  fixed(text: string): Promise<void> | undefined;
  /** Before each object and list: others may have a turn. Awaited, as it leaves the stack, which a schema may be deeper than. */
  pause(): Promise<void> | undefined;
}

const FREE = new Set(['title', 'description', '$comment']);
/** Their members' names are the schema's own. */
const NAMES = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
]);
const VALUES = new Set(['enum', 'const', 'default', 'examples']);
/** Remote services judge schemas themselves, so these are more than a grammar can keep. */
const KEYWORDS = new Set([
  ...ANNOTATIONS,
  ...Object.values(OF_TYPE).flat(),
  ...NAMES,
  ...VALUES,
  ...['type', 'nullable', 'anyOf', 'oneOf', 'allOf', 'not', 'if', 'then', 'else', 'multipleOf'],
  ...['$ref', '$anchor', '$dynamicRef', '$dynamicAnchor', '$vocabulary'],
  ...['minProperties', 'maxProperties', 'propertyNames', 'unevaluatedProperties'],
  ...['additionalItems', 'unevaluatedItems', 'uniqueItems', 'contains', 'minContains', 'maxContains'],
  ...['contentEncoding', 'contentMediaType', 'contentSchema'],
]);
const DIALECTS = ['draft-03', 'draft-04', 'draft-06', 'draft-07', 'draft/2019-09', 'draft/2020-12'].flatMap(
  (draft) => ['http', 'https'].map((scheme) => `${scheme}://json-schema.org/${draft}/schema`),
);
/** JSON Schema's own, beside those that a grammar can keep (JSON Schema Validation 2020-12, section 7.3). */
const OTHER_FORMATS = [
  ...['idn-email', 'idn-hostname', 'ipv4', 'ipv6', 'uri', 'uri-reference', 'iri', 'iri-reference'],
  ...['uri-template', 'json-pointer', 'relative-json-pointer', 'regex'],
];
/** What everybody's schemas say is nobody's word. */
const VOCABULARY: Readonly<Record<string, ReadonlySet<unknown>>> = {
  $schema: new Set(DIALECTS.flatMap((dialect) => [dialect, `${dialect}#`])),
  type: new Set(TYPES),
  format: new Set([...Object.keys(FORMATS), ...OTHER_FORMATS]),
};

/** `schema`: keys are keywords. `names`: keys are the schema's own, with schemas. `value`: any JSON. */
type Part = 'schema' | 'names' | 'value';

/** Shows all texts of the schema, and returns it with what takes the place of the free ones. */
export async function mapSchemaTexts<Schema>(schema: Schema, texts: SchemaTexts): Promise<Schema> {
  return (await map(schema, 'schema', undefined, texts)) as Schema;
}

/** A promise only where there is something to wait for: a list may have hundreds of thousands of values. */
function map(given: unknown, part: Part, keyword: string | undefined, texts: SchemaTexts): unknown {
  if (Array.isArray(given)) return mapItems(given, part, keyword, texts);
  if (isRecord(given)) return mapMembers(given, part, texts);
  if (typeof given === 'string') {
    if (part === 'schema' && keyword !== undefined && FREE.has(keyword)) return texts.free(given);
    const isCommon = part === 'schema' && VOCABULARY[keyword ?? '']?.has(given) === true;
    return isCommon ? given : fixed(given, given, texts);
  }
  if (typeof given === 'number' && part === 'value') return fixed(given, String(given), texts);
  return given;
}

function fixed(given: unknown, text: string, texts: SchemaTexts): unknown {
  const looked = texts.fixed(text);
  return looked === undefined ? given : looked.then(() => given);
}

async function mapItems(
  given: readonly unknown[],
  part: Part,
  keyword: string | undefined,
  texts: SchemaTexts,
): Promise<readonly unknown[]> {
  await texts.pause();
  let copy: unknown[] | undefined;
  for (const [index, item] of given.entries()) {
    const found = map(item, part, keyword, texts);
    const clean = found instanceof Promise ? ((await found) as unknown) : found;
    if (clean === item) continue;
    copy ??= [...given];
    copy[index] = clean;
  }
  return copy ?? given;
}

async function mapMembers(
  given: Readonly<Record<string, unknown>>,
  part: Part,
  texts: SchemaTexts,
): Promise<object> {
  await texts.pause();
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(given)) {
    if (part !== 'schema' || !KEYWORDS.has(key)) await texts.fixed(key);
    const found = map(given[key], partBelow(part, key), part === 'schema' ? key : undefined, texts);
    const clean = found instanceof Promise ? ((await found) as unknown) : found;
    if (clean === given[key]) continue;
    copy ??= { ...given };
    copy[key] = clean;
  }
  return copy ?? given;
}

function partBelow(part: Part, key: string): Part {
  if (part !== 'schema') return part === 'names' ? 'schema' : 'value';
  if (NAMES.has(key)) return 'names';
  return VALUES.has(key) ? 'value' : 'schema';
}
