/** What the routes answer with, as the OpenAPI document shows it; the tests hold real answers against it. */
import { z } from 'zod';

const count = z.int().min(0);
/** Why the answer is shorter than was asked for, for people. */
const warning = z.string().optional();
const usage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
  /** Of a request with a `prediction`. */
  completion_tokens_details: z
    .object({ accepted_prediction_tokens: count, rejected_prediction_tokens: count })
    .optional(),
});
const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter']);

const logprob = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)).nullable(),
};
const chatLogprobs = z.object({
  content: z.array(z.object({ ...logprob, top_logprobs: z.array(z.object(logprob)) })),
  refusal: z.null(),
});
const chatCall = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

export const chatCompletion = z.object({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: count,
  model: z.string(),
  choices: z
    .array(
      z.object({
        index: z.literal(0),
        message: z.object({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.null(),
          tool_calls: z.array(chatCall).optional(),
        }),
        logprobs: chatLogprobs.nullable(),
        finish_reason: finishReason,
      }),
    )
    .length(1),
  usage,
  warning,
});

export const textCompletion = z.object({
  id: z.string(),
  object: z.literal('text_completion'),
  created: count,
  model: z.string(),
  choices: z
    .array(
      z.object({
        text: z.string(),
        index: z.literal(0),
        logprobs: z
          .object({
            tokens: z.array(z.string()),
            token_logprobs: z.array(z.number()),
            top_logprobs: z.array(z.record(z.string(), z.number())),
            text_offset: z.array(count),
          })
          .nullable(),
        finish_reason: finishReason,
      }),
    )
    .length(1),
  usage,
  warning,
});

const status = z.enum(['completed', 'incomplete', 'in_progress']);
export const responseObject = z.object({
  id: z.string(),
  object: z.literal('response'),
  created_at: count,
  status,
  error: z.null(),
  incomplete_details: z.object({ reason: z.enum(['max_output_tokens', 'content_filter']) }).nullable(),
  model: z.string(),
  // What was asked for.
  instructions: z.string().nullable(),
  max_output_tokens: count.nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  previous_response_id: z.null(),
  reasoning: z.object({ effort: z.null(), summary: z.null() }),
  store: z.literal(false),
  temperature: z.number(),
  text: z.object({ format: z.looseObject({ type: z.string() }) }),
  tool_choice: z.union([z.string(), z.object({ type: z.literal('function'), name: z.string() })]),
  tools: z.array(z.looseObject({ type: z.literal('function'), name: z.string() })),
  top_p: z.number(),
  truncation: z.literal('disabled'),
  user: z.string().nullable(),
  warning,
  output: z.array(
    z.union([
      z.object({
        id: z.string(),
        type: z.literal('message'),
        status,
        role: z.literal('assistant'),
        content: z.array(
          z.object({
            type: z.literal('output_text'),
            text: z.string(),
            annotations: z.array(z.unknown()),
            logprobs: z.array(z.unknown()),
          }),
        ),
      }),
      z.object({
        id: z.string(),
        type: z.literal('function_call'),
        status,
        call_id: z.string(),
        name: z.string(),
        arguments: z.string(),
      }),
    ]),
  ),
  usage: z
    .object({
      input_tokens: count,
      input_tokens_details: z.object({ cached_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.object({ reasoning_tokens: count }),
      total_tokens: count,
    })
    .nullable(),
});

export const embeddingList = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('embedding'),
      index: count,
      /** base64: 32-bit floats, little-endian. */
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  model: z.string(),
  usage: z.object({ prompt_tokens: count, total_tokens: count }),
});

export const modelEntry = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: count,
  owned_by: z.string(),
});
export const modelList = z.object({ object: z.literal('list'), data: z.array(modelEntry) });

/** One event of a stream. */
export const streamEvent = z.object({
  event: z.string().optional(),
  /** A piece of the answer as JSON; `[DONE]` comes last, but for /v1/responses. */
  data: z.string(),
});

export const errorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
});

export const health = z.object({ status: z.literal('ok') });
export const readiness = z.object({ status: z.enum(['ready', 'not ready']) });
