/** The body of a chat request, as it is checked and as the OpenAPI document shows it. */
import { z } from 'zod';

import { flag, integer } from '../config/fields.js';
import { bodySchema } from './body-schema.js';
import {
  modelField,
  MOST_TOP_LOGPROBS,
  samplingFields,
  streamFields,
  userFields,
} from './sampling-fields.js';
import {
  callIdField,
  chatFormat,
  chatTool,
  chatToolChoice,
  clientsOwn,
  MOST_TOOLS,
  nameField,
} from './tool-fields.js';
import { CHAT_UNSUPPORTED, neutralFields } from './unsupported.js';

const textPart = z.strictObject({
  type: z.literal('text', { error: '"text" (this service reads no images, sound or files)' }),
  text: z.string({ error: 'a text' }),
});

const CONTENT = 'a text, or a list of parts {"type": "text", "text": "…"}';
const content = z.union([z.string(), z.array(textPart).min(1, { error: CONTENT })], { error: CONTENT });

const CALLS = 'a list of calls {"id": …, "type": "function", "function": {"name": …, "arguments": …}}';
const toolCall = z.strictObject(
  {
    id: callIdField(),
    type: z.literal('function', { error: '"function"' }),
    function: z.strictObject(
      {
        name: nameField(),
        arguments: z.string({ error: 'a JSON object, as a text' }),
        parsed_arguments: clientsOwn(),
      },
      { error: CALLS },
    ),
  },
  { error: CALLS },
);

const nothing = (why: string) => z.null({ error: why }).optional();
const speaker = {
  name: nothing('left out: chat templates have no place for names, put the name into the content'),
};

const ROLES = 'one of system, developer, user, assistant, tool';
const message = z.discriminatedUnion(
  'role',
  [
    z.strictObject({ role: z.literal('system'), content, ...speaker }),
    z.strictObject({ role: z.literal('developer'), content, ...speaker }),
    z.strictObject({ role: z.literal('user'), content, ...speaker }),
    z.strictObject({
      role: z.literal('assistant'),
      content: content.nullish(),
      tool_calls: z
        .array(toolCall, { error: CALLS })
        .max(MOST_TOOLS, { error: `at most ${MOST_TOOLS} calls` })
        .nullish(),
      // What an answer comes with, and clients send back.
      parsed: clientsOwn(),
      refusal: nothing('left out: send what the assistant said as `content`'),
      annotations: z.array(z.unknown()).max(0, { error: 'left out' }).nullish(),
      audio: nothing('left out: this service reads text only'),
      function_call: nothing('left out: use `tool_calls`'),
      ...speaker,
    }),
    z.strictObject({ role: z.literal('tool'), content, tool_call_id: callIdField() }),
  ],
  { error: ROLES },
);

export type GivenMessage = z.output<typeof message>;
export type GivenContent = z.output<typeof content>;

const PREDICTION = '{"type": "content", "content": …}';

export const chatBody = bodySchema((rules) => {
  const tokens = integer(1, rules.contextSize).nullish();
  return z.strictObject({
    model: modelField(rules),
    messages: z
      .array(message, { error: 'a list of messages {"role": …, "content": …}' })
      .min(1, { error: 'a list of at least one message' }),
    max_tokens: tokens,
    max_completion_tokens: tokens,
    ...samplingFields(),
    ...streamFields(),
    tools: z
      .array(chatTool, { error: 'a list of tools' })
      .max(MOST_TOOLS, { error: `a list of at most ${MOST_TOOLS} tools` })
      .nullish(),
    tool_choice: chatToolChoice.nullish(),
    parallel_tool_calls: flag().nullish(),
    response_format: chatFormat.nullish(),
    logprobs: flag().nullish(),
    top_logprobs: integer(0, MOST_TOP_LOGPROBS).nullish(),
    prediction: z
      .strictObject({ type: z.literal('content', { error: '"content"' }), content }, { error: PREDICTION })
      .nullish(),
    ...userFields(),
    ...neutralFields(CHAT_UNSUPPORTED),
  });
});

export type ChatBody = z.output<ReturnType<typeof chatBody>>;

/** For clients that send pictures: a refusal that says so, where the schema could only say what it knows. */
export const FOREIGN_PARTS: ReadonlySet<unknown> = new Set(['image_url', 'input_audio', 'file', 'refusal']);
