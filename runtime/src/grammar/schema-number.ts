import type { Expression, Rules } from './gbnf.js';
import { decimalRange, integerRange } from './number-range.js';
import { SchemaError } from './schema-error.js';
import { bound, type Path, type SchemaObject } from './schema-reading.js';

/** A number within the bounds of its schema. */
export function numberExpression(
  type: 'integer' | 'number',
  schema: SchemaObject,
  path: Path,
  rules: Rules,
): Expression {
  const min = bound(schema, 'minimum', path);
  const max = bound(schema, 'maximum', path);
  const above = bound(schema, 'exclusiveMinimum', path);
  const below = bound(schema, 'exclusiveMaximum', path);
  const low =
    above !== undefined && (min === undefined || above >= min)
      ? { value: above, strict: true }
      : { value: min, strict: false };
  const high =
    below !== undefined && (max === undefined || below <= max)
      ? { value: below, strict: true }
      : { value: max, strict: false };
  let expression: Expression | undefined;
  if (type === 'integer') {
    const from =
      low.value === undefined ? undefined : low.strict ? Math.floor(low.value) + 1 : Math.ceil(low.value);
    const to =
      high.value === undefined ? undefined : high.strict ? Math.ceil(high.value) - 1 : Math.floor(high.value);
    expression = from !== undefined && to !== undefined && from > to ? undefined : integerRange(from, to);
  } else {
    expression = decimalRange({
      ...(low.value === undefined ? {} : { min: low.value, minExclusive: low.strict }),
      ...(high.value === undefined ? {} : { max: high.value, maxExclusive: high.strict }),
    });
  }
  if (expression === undefined) throw new SchemaError(path, 'allows no number at all');
  return rules.add(expression);
}
