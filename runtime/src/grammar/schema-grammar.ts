/**
 * JSON schemas as grammars: what is generated under one is valid under the schema, always. A keyword that cannot be
 * kept is refused, with its place; none is ignored.
 */
import { ExclusiveSchemas } from './exclusive-schemas.js';
import {
  either,
  GrammarTooLarge,
  literal,
  optional,
  repeat,
  Rules,
  sequence,
  type Expression,
} from './gbnf.js';
import { anyValue, COLON, COMMA, keyExcept } from './json-values.js';
import { listedNames } from './property-names.js';
import { SchemaError } from './schema-error.js';
import { numberExpression } from './schema-number.js';
import {
  ANNOTATIONS,
  asSchema,
  count,
  isOfType,
  isRecord,
  OF_TYPE,
  schemaList,
  TYPES,
  typesOf,
  unsupported,
  type JsonSchema,
  type Path,
  type SchemaObject,
} from './schema-reading.js';
import { stringExpression } from './schema-string.js';

const MOST_DEPTH = 64;
const MOST_VALUES = 1000;
const MOST_NAME = 256;
const MOST_ITEMS = 1000;

export class SchemaGrammar {
  readonly rules: Rules;
  readonly #root: JsonSchema;
  readonly #path: Path;
  readonly #references = new Map<string, string>();
  readonly #exclusive = new ExclusiveSchemas((reference) => this.#resolve(reference, this.#path));

  /** `path` is where the schema stands in the request: errors begin with it. */
  constructor(root: unknown, path: Path = [], rules = new Rules()) {
    this.#root = asSchema(root, path);
    this.#path = path;
    this.rules = rules;
  }

  /** What matches a value of the schema. @throws SchemaError */
  expression(): Expression {
    try {
      return this.#schema(this.#root, this.#path, [], 0);
    } catch (error) {
      if (error instanceof GrammarTooLarge)
        throw new SchemaError(this.#path, 'is too large; ask for less at once');
      throw error;
    }
  }

  /** `open`: references that are being followed without any text between them. */
  #schema(schema: JsonSchema, path: Path, open: readonly string[], depth: number): Expression {
    if (depth > MOST_DEPTH) throw new SchemaError(path, `is nested deeper than ${MOST_DEPTH} levels`);
    if (schema === false) throw new SchemaError(path, 'is `false`: no value is valid');
    if (schema === true) return anyValue(this.rules);
    const keywords = Object.keys(schema).filter((keyword) => !ANNOTATIONS.has(keyword));

    if ('$ref' in schema)
      return this.#only('$ref', keywords, path, () => this.#reference(schema, path, open, depth));
    for (const union of ['anyOf', 'oneOf'] as const) {
      if (union in schema)
        return this.#only(union, keywords, path, () => this.#union(union, schema, path, open, depth));
    }
    const all = schema['allOf'];
    if (Array.isArray(all) && all.length === 1) {
      const place = [...path, 'allOf', 0];
      return this.#only('allOf', keywords, path, () =>
        this.#schema(asSchema(all[0], place), place, open, depth + 1),
      );
    }
    if ('const' in schema || 'enum' in schema) return this.#values(schema, keywords, path);
    if (keywords.length === 0) return anyValue(this.rules);
    const types = typesOf(schema, keywords, path);
    const known = new Set(['type', ...types.flatMap((type) => OF_TYPE[type] ?? [])]);
    for (const keyword of keywords) if (!known.has(keyword)) throw unsupported(keyword, path, types);
    return either(...types.map((type) => this.#ofType(type, schema, path, depth)));
  }

  #ofType(type: string, schema: SchemaObject, path: Path, depth: number): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, path, depth);
      case 'array':
        return this.#array(schema, path, depth);
      case 'string':
        return stringExpression(schema, path, this.rules);
      case 'integer':
      case 'number':
        return numberExpression(type, schema, path, this.rules);
      case 'boolean':
        return either(literal('true'), literal('false'));
      default:
        return literal('null');
    }
  }

  /** Some keywords decide alone: what stands beside them would have to hold too. */
  #only(keyword: string, keywords: readonly string[], path: Path, then: () => Expression): Expression {
    const other = keywords.find((name) => name !== keyword);
    if (other !== undefined) {
      throw new SchemaError(
        [...path, other],
        `is not supported beside \`${keyword}\`; write it into what \`${keyword}\` names`,
      );
    }
    return then();
  }

  #union(
    keyword: 'anyOf' | 'oneOf',
    schema: SchemaObject,
    path: Path,
    open: readonly string[],
    depth: number,
  ): Expression {
    const place = [...path, keyword];
    const options = schemaList(schema[keyword], place);
    const mayOverlap = (option: JsonSchema, at: number) =>
      options.slice(at + 1).some((later) => !this.#exclusive.areExclusive(option, later));
    if (keyword === 'oneOf' && options.some(mayOverlap)) {
      throw new SchemaError(
        place,
        'is not supported where a value may be valid under two of its schemas; use `anyOf`',
      );
    }
    return either(
      ...options.map((option, index) => this.#schema(option, [...place, index], open, depth + 1)),
    );
  }

  #reference(schema: SchemaObject, path: Path, open: readonly string[], depth: number): Expression {
    const reference = schema['$ref'];
    const place = [...path, '$ref'];
    if (typeof reference !== 'string') throw new SchemaError(place, 'should be a text');
    if (open.includes(reference))
      throw new SchemaError(place, 'leads back to itself without anything between');
    const existing = this.#references.get(reference);
    if (existing !== undefined) return existing;
    const target = this.#resolve(reference, place);
    const rule = this.rules.reserve();
    this.#references.set(reference, rule.name);
    // Errors are told where the definition stands.
    const at = [...this.#path, ...reference.split('/').slice(1)];
    // A reference to one that is still open is a loop only when nothing lies between: `open` tells.
    rule.set(this.#schema(target, at, [...open, reference], depth + 1));
    return rule.name;
  }

  #resolve(reference: string, place: Path): JsonSchema {
    if (!reference.startsWith('#'))
      throw new SchemaError(place, 'should begin with `#`: only this schema is read');
    let target: unknown = this.#root;
    for (const part of reference.split('/').slice(1)) {
      const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      target = isRecord(target) && Object.hasOwn(target, name) ? target[name] : undefined;
    }
    if (target === undefined)
      throw new SchemaError(place, `names ${reference.slice(0, 64)}, which is not in the schema`);
    return asSchema(target, place);
  }

  #values(schema: SchemaObject, keywords: readonly string[], path: Path): Expression {
    for (const keyword of keywords) {
      if (!['const', 'enum', 'type'].includes(keyword)) throw unsupported(keyword, path, ['enum']);
    }
    const listed = 'enum' in schema ? schema['enum'] : [schema['const']];
    if (!Array.isArray(listed) || listed.length === 0) {
      throw new SchemaError([...path, 'enum'], 'should be a list of at least one value');
    }
    if (listed.length > MOST_VALUES) {
      throw new SchemaError([...path, 'enum'], `should be a list of at most ${MOST_VALUES} values`);
    }
    const types = 'type' in schema ? typesOf(schema, keywords, path) : TYPES;
    const values = listed.filter((value) => types.some((type) => isOfType(value, type)));
    const both = 'enum' in schema && 'const' in schema;
    const wanted = both
      ? values.filter((value) => JSON.stringify(value) === JSON.stringify(schema['const']))
      : values;
    if (wanted.length === 0) throw new SchemaError(path, 'allows no value at all');
    return either(...wanted.map((value) => literal(JSON.stringify(value))));
  }

  #object(schema: SchemaObject, path: Path, depth: number): Expression {
    const declared = schema['properties'] ?? {};
    if (!isRecord(declared)) throw new SchemaError([...path, 'properties'], 'should be an object of schemas');
    const given = schema['additionalProperties'];
    const listed = listedNames(schema, path);
    // Where only some names are allowed, they are properties like others.
    const properties =
      listed === undefined || given === false
        ? declared
        : Object.fromEntries(listed.map((name) => [name, given ?? true]));
    const required = schema['required'] ?? [];
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string')) {
      throw new SchemaError([...path, 'required'], 'should be a list of names');
    }
    const names = Object.keys(properties);
    if ([...names, ...(required as string[])].some((name) => name.length > MOST_NAME)) {
      throw new SchemaError([...path, 'properties'], `should have names of at most ${MOST_NAME} characters`);
    }
    const undeclared = (required as string[]).filter((name) => !Object.hasOwn(properties, name));
    // Where properties are listed, only these are generated unless others are asked for: always valid, and shorter.
    const others = listed === undefined ? (given ?? names.length === 0) : false;
    if (undeclared.length > 0 && others === false) {
      throw new SchemaError(
        [...path, 'required'],
        `names \`${undeclared[0]}\`, which is not among the properties`,
      );
    }
    const below = (name: string): Path =>
      listed === undefined ? [...path, 'properties', name] : [...path, 'additionalProperties'];
    const members = names.map((name) => ({
      required: (required as string[]).includes(name),
      pair: this.rules.add(this.#pair(literal(JSON.stringify(name)), properties[name], below(name), depth)),
    }));
    for (const name of undeclared) {
      const pair = this.rules.add(
        this.#pair(literal(JSON.stringify(name)), others, [...path, 'additionalProperties'], depth),
      );
      members.push({ required: true, pair });
    }
    let tail: Expression = '""';
    let head: Expression = '""';
    if (others !== false) {
      const pair = this.rules.add(
        this.#pair(
          keyExcept([...names, ...undeclared], this.rules),
          others,
          [...path, 'additionalProperties'],
          depth,
        ),
      );
      tail = repeat(sequence(COMMA, pair), 0);
      head = optional(sequence(pair, tail));
    }
    // From the last to the first: what may follow a member, and what an object may begin with.
    for (const { required: isRequired, pair } of members.reverse()) {
      const begin = sequence(pair, tail);
      const goOn = sequence(COMMA, pair, tail);
      head = this.rules.add(isRequired ? begin : either(begin, head));
      tail = this.rules.add(isRequired ? goOn : either(goOn, tail));
    }
    return sequence(literal('{'), head, literal('}'));
  }

  #pair(key: Expression, schema: unknown, path: Path, depth: number): Expression {
    return sequence(key, COLON, this.#schema(asSchema(schema, path), path, [], depth + 1));
  }

  #array(schema: SchemaObject, path: Path, depth: number): Expression {
    // Until draft 7, the schemas of a tuple were a list of `items`, and `additionalItems` was the rest.
    const old = Array.isArray(schema['items']);
    const [leading, following] = old ? ['items', 'additionalItems'] : ['prefixItems', 'items'];
    const foreign = old ? 'prefixItems' : 'additionalItems';
    if (foreign in schema)
      throw new SchemaError(
        [...path, foreign],
        old ? 'is not supported beside a list of `items`' : 'is not supported without a list of `items`',
      );
    const first = leading in schema ? schemaList(schema[leading], [...path, leading]) : [];
    const min = count(schema, 'minItems', path, MOST_ITEMS) ?? 0;
    const max = count(schema, 'maxItems', path, MOST_ITEMS);
    if (max !== undefined && max < min)
      throw new SchemaError([...path, 'maxItems'], 'should be at least `minItems`');
    const tuple = first.map((item, index) => this.#schema(item, [...path, leading, index], [], depth + 1));
    if (tuple.length > 0) {
      const more = schema[following] ?? false;
      if (more !== false || min > tuple.length || (max ?? tuple.length) < tuple.length) {
        throw new SchemaError(
          [...path, leading],
          `is supported for lists of just these items: set \`${following}\` to false`,
        );
      }
      return sequence(
        literal('['),
        ...tuple.flatMap((item, index) => (index === 0 ? [item] : [COMMA, item])),
        literal(']'),
      );
    }
    if (max === 0 || schema['items'] === false) {
      if (min > 0) throw new SchemaError([...path, 'minItems'], 'asks for items that are not allowed');
      return literal('[]');
    }
    const item = this.rules.add(
      this.#schema(asSchema(schema['items'] ?? true, [...path, 'items']), [...path, 'items'], [], depth + 1),
    );
    // A rule of its own: llama.cpp multiplies what is repeated by the parts that it is made of, and allows 2,000.
    const further = this.rules.add(sequence(COMMA, item));
    const list = sequence(
      item,
      repeat(further, Math.max(0, min - 1), max === undefined ? undefined : max - 1),
    );
    return sequence(literal('['), min === 0 ? optional(list) : list, literal(']'));
  }
}
