/** The body of `/v1/responses`, and the conversation it means. */
import { z } from 'zod';

import { flag, integer, numberBetween, oneOf } from '../config/fields.js';
import { bodySchema } from './body-schema.js';
import type { GivenMessage } from './chat-schema.js';
import { modelField, userFields } from './sampling-fields.js';
import {
  callIdField,
  clientsOwn,
  functionFields,
  MOST_TOOLS,
  nameField,
  responseFormat,
} from './tool-fields.js';
import { neutralFields, RESPONSE_UNSUPPORTED } from './unsupported.js';

const INPUT =
  'a text, or a list of messages {"role": …, "content": …}, calls {"type": "function_call", …} and their results ' +
  '{"type": "function_call_output", "call_id": …, "output": …}; this service reads text only';

/** What an answer's items come with, and clients send back. */
const returned = {
  id: z.string().nullish(),
  status: oneOf(['completed', 'incomplete', 'in_progress']).nullish(),
};
const part = z.strictObject({
  type: z.enum(['input_text', 'output_text']),
  text: z.string(),
  annotations: z.array(z.unknown()).max(0).nullish(),
  logprobs: z.array(z.unknown()).max(0).nullish(),
  parsed: clientsOwn(),
});
const message = z.strictObject({
  type: z.literal('message').optional(),
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)]),
  ...returned,
});
const functionCall = z.strictObject({
  type: z.literal('function_call'),
  call_id: callIdField(),
  name: nameField(),
  arguments: z.string(),
  parsed_arguments: clientsOwn(),
  ...returned,
});
const functionOutput = z.strictObject({
  type: z.literal('function_call_output'),
  call_id: callIdField(),
  output: z.string(),
  ...returned,
});
const item = z.union([message, functionCall, functionOutput], { error: INPUT });
type Item = z.output<typeof item>;

const TOOL = 'a tool {"type": "function", "name": …}; this service has no tools of its own';
const tool = z.strictObject(
  { type: z.literal('function', { error: TOOL }), ...functionFields() },
  { error: TOOL },
);
const toolChoice = z.union(
  [z.enum(['none', 'auto', 'required']), z.strictObject({ type: z.literal('function'), name: z.string() })],
  { error: '"none", "auto", "required", or {"type": "function", "name": …}' },
);

const METADATA_TEXT = 'a text of at most 512 characters';
const METADATA = 'texts of at most 512 characters, by names of at most 64';

export const responseBody = bodySchema((rules) => {
  return z.strictObject({
    model: modelField(rules),
    input: z.union([z.string().min(1, { error: INPUT }), z.array(item).min(1, { error: INPUT })], {
      error: INPUT,
    }),
    instructions: z.string({ error: 'a text' }).nullish(),
    max_output_tokens: integer(1, rules.contextSize).nullish(),
    temperature: numberBetween(0, 2).nullish(),
    top_p: numberBetween(0, 1).nullish(),
    stream: flag().nullish(),
    stream_options: z
      .strictObject(
        { include_obfuscation: z.literal(false, { error: 'false, or left out' }).nullish() },
        { error: '{"include_obfuscation": false}' },
      )
      .nullish(),
    text: z
      .strictObject(
        {
          format: responseFormat.nullish(),
          verbosity: z.literal('medium', { error: '"medium": its model has no such setting' }).nullish(),
        },
        { error: '{"format": …}' },
      )
      .nullish(),
    tools: z.array(tool, { error: 'a list of tools' }).max(MOST_TOOLS).nullish(),
    tool_choice: toolChoice.nullish(),
    parallel_tool_calls: flag().nullish(),
    /** Given back with the answer. */
    metadata: z
      .record(
        z.string().max(64, { error: METADATA }),
        z.string({ error: METADATA_TEXT }).max(512, { error: METADATA_TEXT }),
        {
          error: METADATA,
        },
      )
      .nullish(),
    ...userFields(),
    ...neutralFields(RESPONSE_UNSUPPORTED),
  });
});

export type ResponseBody = z.output<ReturnType<typeof responseBody>>;

/** The same as messages of a chat. */
export function toChat({
  instructions,
  input,
}: Pick<ResponseBody, 'instructions' | 'input'>): GivenMessage[] {
  const messages: GivenMessage[] = instructions == null ? [] : [{ role: 'system', content: instructions }];
  for (const given of typeof input === 'string' ? [{ role: 'user' as const, content: input }] : input) {
    add(messages, given);
  }
  return messages;
}

function add(messages: GivenMessage[], given: Item): void {
  if (given.type === 'function_call_output') {
    messages.push({ role: 'tool', tool_call_id: given.call_id, content: given.output });
    return;
  }
  if (given.type !== 'function_call') {
    const content =
      typeof given.content === 'string' ? given.content : given.content.map((one) => one.text).join('\n');
    messages.push({ role: given.role, content });
    return;
  }
  const call = {
    id: given.call_id,
    type: 'function' as const,
    function: { name: given.name, arguments: given.arguments },
  };
  const last = messages.at(-1);
  // A turn's text and its calls are items of their own here, and one message in a chat.
  if (last?.role === 'assistant') {
    messages[messages.length - 1] = { ...last, tool_calls: [...(last.tool_calls ?? []), call] };
  } else {
    messages.push({ role: 'assistant', content: null, tool_calls: [call] });
  }
}
