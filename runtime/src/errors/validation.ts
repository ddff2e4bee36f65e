/** Turns zod's issues into sentences that name the field, the value and what is allowed. */
import type { z } from 'zod';

import { keysAt } from './known-keys.js';
import { nearest } from './nearest.js';

export interface Complaint {
  /** `security.api_key`, `messages[0].content`; empty for the whole. */
  readonly field: string;
  readonly kind: 'unknown' | 'missing' | 'invalid';
  /** A whole sentence without a full stop. */
  readonly text: string;
}

/** Values of these fields are never repeated in a message. */
const SECRET_FIELD = /(^|\.)(api_key|token|redis_url)$/;
const SHOWN_VALUE_LENGTH = 60;
/** What is wrong with each of 100,000 items is told by the first of them, and no request may take seconds to refuse. */
const MOST_ISSUES = 100;

/** One complaint per field, in the schema's order. Of an unknown key it says which the schema has there. */
export function explainIssues(error: z.ZodError, input: unknown, schema: z.ZodType): readonly Complaint[] {
  const complaints = error.issues.slice(0, MOST_ISSUES).flatMap((issue): Complaint[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.slice(0, MOST_ISSUES).map((key) => ({
        field: fieldName([...issue.path, key]),
        kind: 'unknown' as const,
        text: unknownKeyText(issue.path, key, keysAt(schema, issue.path)),
      }));
    }
    const field = fieldName(issue.path);
    const value = valueAt(input, issue.path);
    if (issue.code === 'custom' && issue.params?.['sentence'] === true) {
      return [{ field, kind: 'invalid', text: issue.message }];
    }
    if (value === undefined) {
      return [{ field, kind: 'missing', text: `\`${field}\` is missing: set it to ${issue.message}` }];
    }
    return [
      {
        field,
        kind: 'invalid',
        text: `Expected \`${field}\` to be ${issue.message}, got ${show(field, value)}`,
      },
    ];
  });
  // Several checks of one field say the same thing.
  return complaints.filter(
    (one, index) => complaints.findIndex((other) => other.field === one.field) === index,
  );
}

/** `['messages', 0, 'content']` -> `messages[0].content`. A key of the user's own may be long: its beginning names it. */
export function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`;
    const key = shortened(String(part));
    return name === '' ? key : `${name}.${key}`;
  }, '');
}

function unknownKeyText(path: readonly PropertyKey[], key: string, known: readonly string[]): string {
  const guess = nearest(key, known);
  const complaint = `\`${fieldName([...path, key])}\` is not known`;
  if (guess !== undefined) return `${complaint}; did you mean \`${fieldName([...path, guess])}\`?`;
  return known.length === 0 ? complaint : `${complaint}; known here: ${known.join(', ')}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (isRecord(value) ? value[part as keyof typeof value] : undefined),
    input,
  );
}

function isRecord(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null;
}

function show(field: string, value: unknown): string {
  if (SECRET_FIELD.test(field)) return 'a value that is not shown here';
  return shortened(toJson(value));
}

function shortened(text: string): string {
  return text.length > SHOWN_VALUE_LENGTH ? `${text.slice(0, SHOWN_VALUE_LENGTH)}…` : text;
}

function toJson(value: unknown): string {
  try {
    // Aliases in YAML make values of which a few hundred bytes are gigabytes as JSON: no more than what is shown.
    let left = SHOWN_VALUE_LENGTH;
    return JSON.stringify(value, (_key, part: unknown) => {
      if (left-- <= 0) return undefined;
      // JSON has numbers that are too large to be read, and no way to write what they are read as.
      return typeof part === 'number' && !Number.isFinite(part) ? 'a number too large to be read' : part;
    });
  } catch {
    // Nested deeper than the stack.
    return 'a value too deep to show';
  }
}
