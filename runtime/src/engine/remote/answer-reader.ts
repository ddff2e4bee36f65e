/** Turns the chunks of a remote chat completion into the engine's events. */
import { z } from 'zod';

import type {
  ChosenLogprob,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  TokenLogprob,
  Usage,
} from '../engine.js';
import { RemoteFailure, upstreamFailed } from './failures.js';

const count = z.int().min(0).nullish();
const tokenLogprob = z.looseObject({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)).nullish(),
});
const chosenLogprob = tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob).nullish() });
const call = z.looseObject({
  index: z.int().min(0).nullish(),
  id: z.string().nullish(),
  function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});
/** The fields that matter here; services add others. */
const chunk = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        delta: z
          .looseObject({
            content: z.string().nullish(),
            refusal: z.string().nullish(),
            tool_calls: z.array(call).nullish(),
          })
          .nullish(),
        logprobs: z.looseObject({ content: z.array(chosenLogprob).nullish() }).nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
  usage: z
    .looseObject({
      prompt_tokens: count,
      completion_tokens: count,
      prompt_tokens_details: z.looseObject({ cached_tokens: count }).nullish(),
    })
    .nullish(),
  error: z.union([z.string(), z.looseObject({ message: z.string().nullish() })]).nullish(),
});
type Chunk = z.output<typeof chunk>;
type CallDelta = z.output<typeof call>;
type GivenLogprob = z.output<typeof tokenLogprob>;
type GivenChosenLogprob = z.output<typeof chosenLogprob>;

/** Longer ids could not be sent back to this service. */
const LONGEST_CALL_ID = 128;

export class AnswerReader {
  readonly #wantsLogprobs: boolean;
  /** Of the calls so far, what tells the service's deltas apart. */
  readonly #calls: { readonly index: number | undefined; readonly id: string | undefined }[] = [];
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 };
  #finishReason: FinishReason | undefined;
  #pieces = 0;
  #sawLogprobs = false;
  /** Of tokens that are no text by themselves, until there is some. */
  readonly #logprobs: ChosenLogprob[] = [];

  constructor({ topLogprobs }: Pick<GenerateRequest, 'topLogprobs'>) {
    this.#wantsLogprobs = topLogprobs !== undefined;
  }

  /** @throws RemoteFailure for what is no chunk, and for an error that comes as one */
  read(data: string): GenerateEvent[] {
    const { choices, usage, error } = parse(data);
    if (error !== null && error !== undefined) {
      const said = typeof error === 'string' ? error : error.message;
      throw upstreamFailed('it reported an error in its answer', said ?? 'an error without a message');
    }
    if (usage !== null && usage !== undefined) this.#usage = toUsage(usage);
    const choice = choices?.[0];
    if (choice === undefined) return [];
    if (typeof choice.finish_reason === 'string') this.#finishReason = toFinishReason(choice.finish_reason);
    // A refusal in words is what the model has to say.
    const text = choice.delta?.content ?? choice.delta?.refusal ?? '';
    return [
      ...this.#text(text, choice.logprobs?.content ?? []),
      ...(choice.delta?.tool_calls ?? []).flatMap((delta) => this.#call(delta)),
    ];
  }

  /** After the last chunk. @throws RemoteFailure where the answer has no end */
  end(): GenerateEvent {
    if (this.#finishReason === undefined) throw upstreamFailed('the answer broke off');
    // Services that report no usage: most send one token in a piece.
    const completionTokens = this.#usage.completionTokens || this.#pieces;
    // Some say `stop` at the end of calls that were asked for by name.
    const isCall = this.#finishReason === 'stop' && this.#calls.length > 0;
    const finishReason = isCall ? 'tool_calls' : this.#finishReason;
    return { type: 'end', finishReason, usage: { ...this.#usage, completionTokens } };
  }

  #text(text: string, given: readonly GivenChosenLogprob[]): GenerateEvent[] {
    this.#logprobs.push(...given.map(toChosenLogprob));
    if (text === '') return [];
    this.#pieces++;
    if (!this.#wantsLogprobs) return [{ type: 'text', text, tokens: 1 }];
    this.#sawLogprobs ||= this.#logprobs.length > 0;
    if (!this.#sawLogprobs) {
      throw new RemoteFailure('upstream_refused', 'it sends no log-probabilities', undefined, {
        param: 'logprobs',
      });
    }
    const logprobs = this.#logprobs.splice(0);
    return [{ type: 'text', text, tokens: Math.max(1, logprobs.length), logprobs }];
  }

  #call(delta: CallDelta): GenerateEvent[] {
    const [index, id] = [delta.index ?? undefined, delta.id || undefined];
    const { name, arguments: text } = delta.function ?? {};
    const events: GenerateEvent[] = [];
    let at = this.#find(index, id, Boolean(name));
    if (at === -1) {
      if (!name) throw upstreamFailed('it sent arguments of a call that has not begun');
      at = this.#calls.push({ index, id }) - 1;
      const isUsable = id !== undefined && id.length <= LONGEST_CALL_ID;
      events.push({ type: 'tool-call', index: at, name, ...(isUsable ? { id } : {}) });
    }
    if (!text) return events;
    this.#pieces++;
    return [...events, { type: 'tool-arguments', index: at, text, tokens: 1 }];
  }

  /** Some services number all calls 0 and tell them apart by id; some send each call whole, with neither. */
  #find(index: number | undefined, id: string | undefined, isNamed: boolean): number {
    if (id !== undefined) {
      const same = this.#calls.findIndex((known) => known.id === id);
      if (same !== -1 || index === undefined) return same;
      return this.#calls.findIndex((known) => known.id === undefined && known.index === index);
    }
    if (index === undefined) return isNamed ? -1 : this.#calls.length - 1;
    return this.#calls.findLastIndex((known) => known.index === index);
  }
}

function parse(data: string): Chunk {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw upstreamFailed('a piece of the answer is not valid JSON');
  }
  const result = chunk.safeParse(value);
  if (result.success) return result.data;
  const field = result.error.issues[0]?.path.join('.') ?? '';
  throw upstreamFailed(`a piece of the answer is no chat completion chunk${field && ` (\`${field}\`)`}`);
}

function toFinishReason(given: string): FinishReason {
  switch (given) {
    case 'length':
    case 'content_filter':
    case 'tool_calls':
      return given;
    default:
      return 'stop';
  }
}

function toLogprob({ token, logprob, bytes }: GivenLogprob): TokenLogprob {
  return { text: token, logprob, ...(bytes === null || bytes === undefined ? {} : { bytes }) };
}

function toChosenLogprob(token: GivenChosenLogprob): ChosenLogprob {
  return { ...toLogprob(token), top: (token.top_logprobs ?? []).map(toLogprob) };
}

function toUsage({
  prompt_tokens,
  completion_tokens,
  prompt_tokens_details,
}: NonNullable<Chunk['usage']>): Usage {
  return {
    promptTokens: prompt_tokens ?? 0,
    cachedTokens: prompt_tokens_details?.cached_tokens ?? 0,
    completionTokens: completion_tokens ?? 0,
  };
}
