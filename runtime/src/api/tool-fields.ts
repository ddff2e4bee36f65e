/** Tools and formats of answers, as requests name them. */
import { z } from 'zod';

import { flag, oneOf, text } from '../config/fields.js';
import type { AnswerFormat, ToolFunction, ToolUse } from '../engine/engine.js';
import type { JsonSchema } from '../grammar/schema-reading.js';
import { invalid, requireUsableSchema } from './read-body.js';

const NAME = 'a name of 1 to 64 letters, digits, _ and -';
export const nameField = () => z.string({ error: NAME }).regex(/^[A-Za-z0-9_-]{1,64}$/, { error: NAME });
/** Checked when a grammar is made of it, which tells the keyword. */
const schemaField = () => z.record(z.string(), z.unknown(), { error: 'a JSON schema: an object' });
const descriptionField = () =>
  z.string({ error: 'a text' }).max(4096, { error: 'a text of at most 4096 characters' });

export const functionFields = () => ({
  name: nameField(),
  description: descriptionField().nullish(),
  parameters: schemaField().nullish(),
  /** Arguments keep to the schema whether this is set or not. */
  strict: flag().nullish(),
});

const TOOL = 'a tool {"type": "function", "function": {"name": …}}';
export const chatTool = z.strictObject(
  { type: oneOf(['function']), function: z.strictObject(functionFields(), { error: TOOL }) },
  { error: TOOL },
);

const CHOICE = '"none", "auto", "required", or {"type": "function", "function": {"name": …}}';
export const chatToolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
  ],
  { error: CHOICE },
);

const jsonSchemaFields = () => ({
  name: nameField(),
  description: descriptionField().nullish(),
  schema: schemaField().nullish(),
  strict: flag().nullish(),
});
const FORMAT = 'an object whose `type` is "text", "json_object" or "json_schema"';
export const chatFormat = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject(jsonSchemaFields(), { error: 'an object with `name` and `schema`' }),
    }),
  ],
  { error: FORMAT },
);
export const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({ type: z.literal('json_schema'), ...jsonSchemaFields() }),
  ],
  { error: FORMAT },
);

/** More tools than this fill the context of any model that runs on two cores. */
export const MOST_TOOLS = 128;
export const parallelField = () => flag();
export const callIdField = () => text(128);
/** What OpenAI's clients add to an answer that they have parsed, and send back with it. It is not looked at. */
export const clientsOwn = () => z.unknown().optional();

export interface GivenFormat {
  readonly type: 'text' | 'json_object' | 'json_schema';
  readonly schema?: unknown;
  readonly name?: string;
  readonly description?: string | null | undefined;
  readonly strict?: boolean | null | undefined;
}

/** `isRemote`: the schema is passed on, not made into a grammar. @throws ApiError 400 for a schema that cannot be kept to */
export function toFormat(
  format: GivenFormat | null | undefined,
  path: readonly string[],
  isRemote = false,
): AnswerFormat | undefined {
  if (format === undefined || format === null || format.type === 'text') return undefined;
  const { type, schema, name, description, strict } = format;
  // A schema that is left out allows any object, as `json_object` does.
  if (type === 'json_object' || schema === undefined || schema === null) return { type: 'json_object' };
  requireUsableSchema(schema, path, isRemote);
  return {
    type,
    schema: schema as JsonSchema,
    ...given({ name, description, ...(isRemote ? { strict } : {}) }),
  };
}

export interface GivenFunction {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly strict?: boolean | null | undefined;
}

export interface GivenTools {
  readonly functions: readonly GivenFunction[];
  readonly choice: 'none' | 'auto' | 'required' | { readonly name: string } | undefined;
  readonly parallel: boolean;
  /** Where the parameters of the tool at an index stand in the body. */
  readonly pathOf: (index: number) => readonly (string | number)[];
  /** Schemas are passed on, not made into grammars. */
  readonly isRemote: boolean;
}

/** @throws ApiError 400 */
export function toToolUse({
  functions,
  choice,
  parallel,
  pathOf,
  isRemote,
}: GivenTools): ToolUse | undefined {
  const names = new Set<string>();
  functions.forEach(({ name, parameters }, index) => {
    if (names.has(name))
      throw invalid('tools', `Expected each tool to have a name of its own, got \`${name}\` twice`);
    names.add(name);
    if (parameters === undefined || parameters === null) return;
    if (parameters['type'] !== 'object') {
      throw invalid('tools', `Expected the parameters of \`${name}\` to be a schema of the type "object"`);
    }
    requireUsableSchema(parameters, pathOf(index), isRemote);
  });
  if (typeof choice === 'object' && !names.has(choice.name)) {
    throw invalid(
      'tool_choice',
      `Expected \`tool_choice\` to name one of the tools, got \`${choice.name.slice(0, 64)}\``,
    );
  }
  if (functions.length === 0) {
    if (choice === 'required')
      throw invalid('tool_choice', '`tool_choice` is "required", and there are no `tools`');
    return undefined;
  }
  if (choice === 'none') return undefined;
  return { functions: functions.map((one) => toFunction(one, isRemote)), choice: choice ?? 'auto', parallel };
}

function toFunction(
  { name, description, parameters, strict }: GivenFunction,
  isRemote: boolean,
): ToolFunction {
  return { name, ...given({ description, parameters, ...(isRemote ? { strict } : {}) }) };
}

type Given<T> = { [Key in keyof T]?: NonNullable<T[Key]> };

/** Without what is null or undefined: clients write null for "not set". */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  ) as Given<T>;
}
