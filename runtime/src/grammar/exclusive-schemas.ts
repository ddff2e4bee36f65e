/** Whether two schemas have no value in common: then `oneOf` asks for no more than `anyOf` does. */
import { isOfType, isRecord, TYPES, type SchemaObject } from './schema-reading.js';

/** Unions within unions are a few levels deep; schemas that refer to themselves have no end. */
const MOST_DEPTH = 8;
/** A union of a hundred objects takes fewer. What is nested to take longer is not told to be exclusive. */
const MOST_STEPS = 50_000;
const MOST_VALUES = 1000;
const MOST_REQUIRED = 100;

export class ExclusiveSchemas {
  readonly #resolve: (reference: string) => unknown;
  readonly #resolved = new Map<string, unknown>();
  #stepsLeft = MOST_STEPS;

  /** `resolve`: the schema that a `$ref` names. */
  constructor(resolve: (reference: string) => unknown) {
    this.#resolve = resolve;
  }

  /** False too where it cannot be told. */
  areExclusive(a: unknown, b: unknown, depth = 0): boolean {
    if (depth > MOST_DEPTH || --this.#stepsLeft < 0 || !isRecord(a) || !isRecord(b)) return false;
    const within = (one: unknown, other: unknown) => this.areExclusive(one, other, depth + 1);
    if (typeof a['$ref'] === 'string') return within(this.#follow(a['$ref']), b);
    if (typeof b['$ref'] === 'string') return within(a, this.#follow(b['$ref']));
    const options = optionsOf(a);
    if (options !== undefined) return options.every((option) => within(option, b));
    if (optionsOf(b) !== undefined) return within(b, a);

    const [valuesOfA, valuesOfB] = [valuesOf(a), valuesOf(b)];
    if (valuesOfA !== undefined && valuesOfB !== undefined) {
      const taken = new Set(valuesOfB);
      return valuesOfA.every((value) => !taken.has(value));
    }
    const typesOfB = typesIn(b, valuesOfB);
    if (typesIn(a, valuesOfA).every((type) => !typesOfB.includes(type))) return true;
    return this.#differInProperty(a, b, within);
  }

  #differInProperty(
    a: SchemaObject,
    b: SchemaObject,
    exclusive: (one: unknown, other: unknown) => boolean,
  ): boolean {
    const [ofA, ofB] = [a['properties'], b['properties']];
    if (a['type'] !== 'object' || b['type'] !== 'object' || !isRecord(ofA) || !isRecord(ofB)) return false;
    const required = new Set(requiredOf(b));
    return requiredOf(a).some(
      (name) =>
        required.has(name) &&
        Object.hasOwn(ofA, name) &&
        Object.hasOwn(ofB, name) &&
        exclusive(ofA[name], ofB[name]),
    );
  }

  #follow(reference: string): unknown {
    if (!this.#resolved.has(reference)) this.#resolved.set(reference, this.#resolve(reference));
    return this.#resolved.get(reference);
  }
}

function optionsOf(schema: SchemaObject): readonly unknown[] | undefined {
  const options = schema['anyOf'] ?? schema['oneOf'];
  return Array.isArray(options) ? options : undefined;
}

/** Undefined where the schema does not list its values, or lists some that are not compared by `===`. */
function valuesOf(schema: SchemaObject): readonly unknown[] | undefined {
  const values: unknown = 'const' in schema ? [schema['const']] : schema['enum'];
  if (!Array.isArray(values) || values.length > MOST_VALUES) return undefined;
  return values.some((value) => isRecord(value)) ? undefined : values;
}

function typesIn(schema: SchemaObject, values: readonly unknown[] | undefined): readonly unknown[] {
  if (values !== undefined) return TYPES.filter((type) => values.some((value) => isOfType(value, type)));
  const given = schema['type'];
  if (given === undefined) return TYPES;
  const types: readonly unknown[] = Array.isArray(given) ? given : [given];
  // Whole numbers are of both kinds.
  return TYPES.filter(
    (type) => types.includes(type) || (isNumeric(type) && types.some((other) => isNumeric(other))),
  );
}

function isNumeric(type: unknown): boolean {
  return type === 'number' || type === 'integer';
}

function requiredOf(schema: SchemaObject): readonly string[] {
  const required = schema['required'];
  return Array.isArray(required)
    ? required.slice(0, MOST_REQUIRED).filter((name) => typeof name === 'string')
    : [];
}
