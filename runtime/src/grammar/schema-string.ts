import { FORMATS, LONGEST_OF_FORMAT } from './formats.js';
import { repeat, type Expression, type Rules } from './gbnf.js';
import { anyCharacter, quoted } from './json-values.js';
import { sayable } from './library-patterns.js';
import { PatternError, patternExpression } from './pattern.js';
import { SchemaError } from './schema-error.js';
import { count, type Path, type SchemaObject } from './schema-reading.js';

const MOST_LENGTH = 10_000;
const MOST_PATTERN = 1000;

/** A text within the lengths, the pattern or the format of its schema. */
export function stringExpression(schema: SchemaObject, path: Path, rules: Rules): Expression {
  const min = count(schema, 'minLength', path, MOST_LENGTH);
  const max = count(schema, 'maxLength', path, MOST_LENGTH);
  if (max !== undefined && max < (min ?? 0))
    throw new SchemaError([...path, 'maxLength'], 'should be at least `minLength`');
  if ('pattern' in schema) {
    if ((min ?? max) !== undefined) throw together('pattern', path);
    // A format beside it demands nothing more, as JSON Schema has it by default: libraries that write both put the
    // whole rule into the pattern, and some formats of theirs are no others' (`ulid`).
    return ofPattern(schema['pattern'], path, rules);
  }
  if ('format' in schema) {
    const leavesOut = (min ?? 0) > 1 || (max ?? LONGEST_OF_FORMAT) < LONGEST_OF_FORMAT;
    if (leavesOut) throw together('format', path);
    return ofFormat(schema['format'], path, rules);
  }
  return quoted(repeat(anyCharacter(rules), min ?? 0, max));
}

function together(keyword: string, path: Path): SchemaError {
  return new SchemaError([...path, keyword], 'is not supported together with another rule for the same text');
}

function ofPattern(pattern: unknown, path: Path, rules: Rules): Expression {
  const place = [...path, 'pattern'];
  if (typeof pattern !== 'string' || pattern.length > MOST_PATTERN) {
    throw new SchemaError(place, `should be a text of at most ${MOST_PATTERN} characters`);
  }
  try {
    return rules.add(quoted(patternExpression(sayable(pattern))));
  } catch (error) {
    if (error instanceof PatternError) throw new SchemaError(place, error.message);
    throw error;
  }
}

function ofFormat(format: unknown, path: Path, rules: Rules): Expression {
  const pattern = typeof format === 'string' && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (pattern === undefined) {
    throw new SchemaError(
      [...path, 'format'],
      `is not supported: ${JSON.stringify(format)}; known are ${Object.keys(FORMATS).join(', ')}`,
    );
  }
  return rules.add(quoted(patternExpression(pattern)));
}
