/** Parameters that OpenAI's API has and this service does not: refused by name, unless their value asks for nothing. */
import { z } from 'zod';

export interface Unsupported {
  /** Values that mean the same as leaving the parameter out. */
  readonly neutral: z.ZodType;
  readonly why: string;
}

export type UnsupportedTable = Readonly<Record<string, Unsupported>>;

const NO_TOKEN_BIAS = 'it takes no bias of tokens';
const KEEPS_NOTHING = 'it keeps no conversations';
const NO_SETTING = 'its model has no such setting';
const ONE_ANSWER = 'it gives one answer to a request; send several requests';

const nothing = z.null();
const empty = z.strictObject({});

/** What chat completions and completions have in common. */
const COMMON: UnsupportedTable = {
  n: { neutral: z.literal(1), why: ONE_ANSWER },
  logit_bias: { neutral: empty, why: NO_TOKEN_BIAS },
};

export const CHAT_UNSUPPORTED: UnsupportedTable = {
  ...COMMON,
  functions: { neutral: z.array(z.unknown()).max(0), why: 'use `tools`' },
  function_call: { neutral: z.enum(['none', 'auto']), why: 'use `tool_choice`' },
  modalities: { neutral: z.array(z.literal('text')).length(1), why: 'it answers in text only' },
  audio: { neutral: nothing, why: 'it answers in text only' },
  reasoning_effort: { neutral: z.literal('none'), why: NO_SETTING },
  verbosity: { neutral: z.literal('medium'), why: NO_SETTING },
  store: { neutral: z.literal(false), why: KEEPS_NOTHING },
  metadata: { neutral: empty, why: KEEPS_NOTHING },
  service_tier: { neutral: z.enum(['auto', 'default']), why: 'all requests are treated alike' },
  web_search_options: { neutral: nothing, why: 'it does not search the web' },
};

export const COMPLETION_UNSUPPORTED: UnsupportedTable = {
  ...COMMON,
  best_of: { neutral: z.literal(1), why: ONE_ANSWER },
  echo: { neutral: z.literal(false), why: 'it returns what it generates, not the prompt' },
  suffix: { neutral: z.literal(''), why: 'its model fills no gaps' },
};

export const RESPONSE_UNSUPPORTED: UnsupportedTable = {
  background: { neutral: z.literal(false), why: 'it answers while the client waits' },
  conversation: { neutral: nothing, why: KEEPS_NOTHING },
  include: { neutral: z.array(z.unknown()).max(0), why: 'it has no further data' },
  max_tool_calls: { neutral: nothing, why: 'it runs no tools itself' },
  previous_response_id: { neutral: nothing, why: `${KEEPS_NOTHING}; send the whole one as \`input\`` },
  prompt: { neutral: nothing, why: 'it keeps no prompt templates' },
  reasoning: { neutral: empty, why: NO_SETTING },
  service_tier: { neutral: z.enum(['auto', 'default']), why: 'all requests are treated alike' },
  // OpenAI's default is true, and its clients do not send it: what is not asked for cannot be refused.
  store: { neutral: z.literal(false), why: KEEPS_NOTHING },
  top_logprobs: { neutral: z.literal(0), why: 'use /v1/chat/completions for log-probabilities' },
  truncation: { neutral: z.literal('disabled'), why: 'nothing is cut off in silence' },
};

/** The fields of a body that the table allows with their neutral values only. */
export function neutralFields(table: UnsupportedTable): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(table).map(([name, { neutral }]) => [name, neutral.nullish()]));
}
