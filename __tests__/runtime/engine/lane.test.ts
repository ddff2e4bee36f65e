/** One request on one sequence: what it makes of the tokens that a step chose. */
import type { AnswerRules } from '../../../runtime/src/engine/answer-rules';
import { Lane } from '../../../runtime/src/engine/lane';
import type { Token } from '../../../runtime/src/engine/native';
import { Sampler } from '../../../runtime/src/engine/sampler';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { GENERIC_FORM } from '../../../runtime/src/engine/tool-form';
import { NativeStandIn, SamplerStandIn } from './support/native-stand-in';
import { request } from './support/model-engine';

/** Each token is one of these, in order of its number. */
const WORDS = ['<end>', 'a', 'b', 'c', '<tool_', 'call>', '!'];
const MODEL = {
  isEogToken: (token: number) => token === 0,
  detokenize: (tokens: readonly number[]) => tokens.map((token) => WORDS[token]).join(''),
} as unknown as ConstructorParameters<typeof Lane>[2]['model'];
const PROMPT = [1, 2, 3] as Token[];

const chosen = (...ids: number[]) => ({ chosen: ids.map((token) => ({ token: token as Token })) });

/** A lane that has read its prompt, and its sequence, which has evaluated these tokens of the answer. */
function laneOn({
  maxTokens = 20,
  rules,
  evaluated = [],
}: {
  maxTokens?: number;
  rules?: AnswerRules;
  evaluated?: number[];
} = {}) {
  const context = new NativeStandIn();
  const sequence = new Sequence(0, context);
  const native = new SamplerStandIn();
  const job = { id: 1, request: request('', { maxTokens }), tokens: PROMPT, stop: [], cancelled: false };
  const lane = new Lane(rules === undefined ? job : { ...job, rules }, sequence, {
    model: MODEL,
    contextSize: 12,
    sampler: new Sampler(native),
  });
  sequence.evaluated([...PROMPT, ...(evaluated as Token[])]);
  return { lane, sequence, native };
}

const textOf = (events: ReturnType<Lane['accept']>): string =>
  events.map((event) => (event.type === 'text' ? event.text : `<${event.type}>`)).join('');

it('takes all tokens that a step chose, in their order', () => {
  const { lane } = laneOn();
  expect(textOf(lane.accept(chosen(1, 2, 6)))).toBe('ab!');
  expect(lane.usage.completionTokens).toBe(3);
});

it('takes none behind the end', () => {
  const { lane } = laneOn();
  expect(textOf(lane.accept(chosen(1, 0, 2)))).toBe('a<end>');
  const { lane: short } = laneOn({ maxTokens: 2 });
  expect(short.accept(chosen(1, 2, 3)).at(-1)).toMatchObject({
    finishReason: 'length',
    usage: { completionTokens: 2 },
  });
  expect(
    laneOn()
      .lane.accept(chosen(...Array<number>(12).fill(1)))
      .at(-1),
  ).toMatchObject({
    finishReason: 'length',
    // With the prompt, all that the context has room for.
    usage: { completionTokens: 9 },
  });
});

it('guesses nothing before the first token, nor where the answer ends with the next', () => {
  const { lane } = laneOn({ maxTokens: 3 });
  expect(lane.draft(3)).toBeUndefined();
  lane.accept(chosen(1));
  expect(lane.draft(3)).toMatchObject({ tokens: [2, 3, 1] });
  lane.accept(chosen(2));
  expect(lane.draft(3)).toBeUndefined();
});

it('evaluates the last token with what is guessed to follow it', () => {
  const { lane } = laneOn();
  lane.accept(chosen(1));
  const { tokens } = lane.draft(2)!;
  expect(lane.next(1, tokens)).toMatchObject({ tokens: [1], draft: [2, 3], sampler: lane.sampler });
});

it('forgets what was chosen behind a token with which a grammar begins', () => {
  const grammar = {};
  const rules: AnswerRules = {
    afterTrigger: true,
    calls: { form: GENERIC_FORM, most: 1, beginsWithCall: false },
    grammar: () => ({ _state: grammar }) as never,
  };
  // Evaluated: the token before, and three guesses, all of them right.
  const { lane, sequence, native } = laneOn({ rules, evaluated: [1, 4, 5, 6] });
  lane.accept(chosen(1));
  lane.accept(chosen(4, 5, 6, 2));
  expect(lane.usage.completionTokens).toBe(3);
  expect(sequence.tokens).toEqual([...PROMPT, 1, 4]);
  expect(native.configs.at(-1)).toMatchObject({ grammarEvaluationState: grammar });
  expect(lane.next(1)).toMatchObject({ tokens: [5] });
});

it('counts guesses that became part of the answer, and none behind its end', () => {
  const prompted = (options: Parameters<typeof laneOn>[0]) => {
    const { lane } = laneOn(options);
    lane.accept(chosen(1));
    return { lane, draft: lane.draft(3)! };
  };
  const { lane, draft } = prompted({});
  lane.accept(chosen(2, 3, 6), draft);
  expect(lane.guesses).toEqual({ tokens: 3, accepted: 2 });
  const short = prompted({ maxTokens: 3 });
  short.lane.accept(chosen(2, 3, 1, 2), short.draft);
  expect(short.lane.guesses).toEqual({ tokens: 3, accepted: 2 });
  const ended = prompted({});
  ended.lane.accept(chosen(0, 2, 3, 1), ended.draft);
  expect([ended.lane.guesses.accepted, ended.lane.usage.completionTokens]).toEqual([0, 1]);
});

it('guesses nothing from where a call may begin on, while the model decides whether it makes one', () => {
  const calls = { form: GENERIC_FORM, most: 1, beginsWithCall: false };
  const draftOf = (rules: AnswerRules, ...answer: number[]) => {
    const { lane } = laneOn({ rules });
    lane.accept(chosen(...answer));
    return lane.draft(3)?.tokens;
  };
  const undecided = { afterTrigger: true, calls };
  expect(draftOf(undecided, 1, 4, 1)).toBeUndefined();
  // It has begun one, perhaps.
  expect(draftOf(undecided, 4, 1, 4)).toBeUndefined();
  expect(draftOf(undecided, 6, 1, 4, 1, 6)).toEqual([1, 0, 0]);
  for (const answer of [
    [6, 1, 4, 1, 6],
    [1, 4, 1],
    [4, 1, 4],
  ])
    expect(draftOf({ afterTrigger: false, calls }, ...answer)).toHaveLength(3);
});
