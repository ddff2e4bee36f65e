/** The access policy: limits and word rules that are changed while the service runs. One YAML file, these keys. */
import { z } from 'zod';

import { userSchema } from '../access/token-order.js';
import { integer, oneOf, text } from '../config/fields.js';
import { isVisible } from './fold.js';

/** Bounds the memory and the time that a policy can take: some 30 MB and 0.5 s. */
const MAX_WORDS = 50_000;
const WORDS = 'a list of words';
const ON = 'a list of input, output or both';

const sessionLimit = () => integer(1, 1000).optional();

const wordRule = z.strictObject({
  /** Stands in the log where a word was hit; the word does not. */
  name: text(64),
  /** mask: the word becomes ***. block: the request is refused, or the answer ends before the word. */
  action: oneOf(['mask', 'block']),
  /** What is looked at: what users send, what the model answers. */
  on: z
    .array(oneOf(['input', 'output']), { error: ON })
    .min(1, { error: ON })
    .default(['input', 'output']),
  /** word: not inside a longer word (Chinese and other scripts without spaces: anywhere). part: anywhere. */
  match: oneOf(['word', 'part']).default('word'),
  words: z
    .array(text(200), { error: WORDS })
    .min(1, { error: WORDS })
    .superRefine((words, context) => {
      words.forEach((word, index) => {
        if (isVisible(word)) return;
        context.addIssue({ code: 'custom', path: [index], message: 'a word with visible characters' });
      });
    }),
});

function sessionsSchema(maxRequestSeconds: number) {
  return {
    /** Requests under way at once for one token; the API key counts as one. Default: no limit of its own. */
    per_token: sessionLimit(),
    /** Seconds from arrival after which an answer ends with what it has. At most, and by default, the configuration's. */
    longest_request_seconds: integer(1, maxRequestSeconds).optional(),
  };
}

/** `maxRequestSeconds` is the configuration's limit, which nginx's timeout is made for. */
export function policySchema(maxRequestSeconds: number) {
  const perToken = sessionsSchema(maxRequestSeconds);
  return z
    .strictObject({
      sessions: z
        .strictObject({
          /** Requests under way at once, in all. Default: what `engine.sequences` and `limits.max_queue` allow. */
          overall: sessionLimit(),
          ...perToken,
        })
        .prefault({}),
      /** Exceptions for users, by the name in their tokens. */
      users: z.record(userSchema, z.strictObject(perToken)).default({}),
      words: z.array(wordRule, { error: 'a list of rules' }).max(1000).default([]),
    })
    .superRefine(({ words }, context) => {
      const total = words.reduce((sum, rule) => sum + rule.words.length, 0);
      if (total > MAX_WORDS) {
        const message = `the rules hold ${total} words; at most ${MAX_WORDS} are allowed`;
        context.addIssue({ code: 'custom', path: ['words'], message, params: { sentence: true } });
      }
    });
}

export type Policy = z.output<ReturnType<typeof policySchema>>;
