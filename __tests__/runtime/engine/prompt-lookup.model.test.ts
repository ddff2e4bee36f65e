/** Guesses at how answers go on, with the real model: the same answers, in fewer steps. */
import type { GenerateRequest } from '../../../runtime/src/engine/engine';
import { request, until, useModelEngine } from './support/model-engine';

/** Text that repeats itself, raw: the model goes on with "white, green, blue, blue," again and again. */
const REFRAIN = 'red, green, blue, white, black; red, green, blue, white, black; red, green, blue,';
const REPEATED = 'white, green, blue, blue, white, green, blue, blue,';
const raw = (prompt: string, options: Partial<GenerateRequest> = {}): GenerateRequest =>
  request('', { input: { prompt }, ...options });

const { engine, answer } = useModelEngine();

async function stepsOf(work: () => Promise<unknown>): Promise<number> {
  const before = (await engine.stats()).decodeSteps;
  await work();
  return (await engine.stats()).decodeSteps - before;
}

it('takes fewer steps than tokens where an answer repeats what stands there', async () => {
  const steps = await stepsOf(async () => {
    const { text, usage } = await answer(raw(REFRAIN, { maxTokens: 60 }));
    expect(text).toContain(REPEATED);
    expect(usage.completionTokens).toBe(60);
  });
  expect(steps).toBeLessThan(30);
  const { tokens, accepted } = (await engine.stats()).drafts;
  expect(accepted).toBeGreaterThan(30);
  expect(tokens).toBeGreaterThanOrEqual(accepted);
  await until(() => engine.status().drafts?.accepted === accepted);
});

it('ends at the very token, however many were guessed', async () => {
  const { text: whole } = await answer(raw(REFRAIN, { maxTokens: 24 }));
  for (let maxTokens = 1; maxTokens <= 9; maxTokens++) {
    const { text, usage, finishReason } = await answer(raw(REFRAIN, { maxTokens }));
    expect([usage.completionTokens, finishReason]).toEqual([maxTokens, 'length']);
    expect(whole.startsWith(text)).toBe(true);
    // Every token of it is a word or a comma.
    expect(text.match(/\w+|,/g)).toHaveLength(maxTokens);
  }
});

it('ends before a stop string in the middle of what was guessed', async () => {
  const { text: whole } = await answer(raw(REFRAIN, { maxTokens: 60 }));
  for (const words of [6, 7, 8, 9, 10, 11]) {
    const [, text = '', end = ''] = new RegExp(`^((?:[^,]*,){${words}})( \\w+, \\w+, \\w+, \\w+, \\w+)`).exec(
      whole,
    )!;
    const stopped = await answer(raw(REFRAIN, { maxTokens: 60, stop: [end] }));
    expect(stopped.finishReason).toBe('stop');
    expect(stopped.text).toBe(whole.slice(0, whole.indexOf(end)));
    expect(text.startsWith(stopped.text)).toBe(true);
  }
});

it('goes on from there as if nothing had been guessed', async () => {
  const { text: whole } = await answer(raw(REFRAIN, { maxTokens: 60 }));
  for (const words of [9, 10, 11, 12]) {
    const begun = whole.split(',').slice(0, words).join(',');
    const next = await answer(raw(`${REFRAIN}${begun}`, { maxTokens: 12 }));
    expect(next.usage.cachedTokens).toBeGreaterThan(30);
    expect(whole.slice(begun.length).startsWith(next.text)).toBe(true);
  }
});

it('has the log-probability of every token', async () => {
  const { events, usage } = await answer(raw(REFRAIN, { maxTokens: 20, topLogprobs: 2 }));
  const logprobs = events.flatMap((event) => (event.type === 'text' ? (event.logprobs ?? []) : []));
  expect(logprobs).toHaveLength(usage.completionTokens);
  for (const { text, logprob, top } of logprobs) {
    expect(top).toHaveLength(2);
    // Greedy: what was chosen is the likeliest.
    expect(top[0]!.text).toBe(text);
    expect(logprob).toBeCloseTo(top[0]!.logprob);
  }
});

it('fills the context to its end and no further', async () => {
  const prompt = `${'red, green, blue, white, black; '.repeat(98)}red,`;
  const { usage, finishReason } = await answer(raw(prompt, { maxTokens: 900 }));
  expect(finishReason).toBe('length');
  expect(usage.promptTokens + usage.completionTokens).toBe(1024);
});

it('repeats seeds, and keeps to a grammar', async () => {
  const format = {
    type: 'json_schema',
    schema: {
      type: 'object',
      properties: {
        colours: { type: 'array', items: { enum: ['red', 'green'] }, minItems: 6, maxItems: 6 },
      },
      required: ['colours'],
      additionalProperties: false,
    },
  } as const;
  const ask = () =>
    answer(
      request('Six colours as JSON, red and green in turn.', {
        maxTokens: 200,
        temperature: 0.9,
        seed: 7,
        format,
      }),
    );
  const steps = await stepsOf(async () => {
    const [first, second] = [await ask(), await ask()];
    expect((JSON.parse(first.text) as { colours: string[] }).colours).toHaveLength(6);
    expect(second.text).toBe(first.text);
    expect(first.usage.completionTokens).toBeGreaterThan(20);
  });
  expect(steps).toBeGreaterThan(0);
});

it('guesses beside two answers as well', async () => {
  const steps = await stepsOf(async () => {
    const answers = await Promise.all(
      [REFRAIN, REFRAIN.toUpperCase()].map((prompt) => answer(raw(prompt, { maxTokens: 60 }))),
    );
    expect(answers.map(({ usage }) => usage.completionTokens)).toEqual([60, 60]);
    expect(answers[0]!.text).toContain(REPEATED);
  });
  // Two tokens a step each, where both are there.
  expect(steps).toBeLessThan(55);
});

it('guesses what the client predicts, and tells what came of it', async () => {
  const ask = (prediction?: string) =>
    answer(
      request('Name the months of the year.', {
        maxTokens: 60,
        ...(prediction === undefined ? {} : { prediction }),
      }),
    );
  const before = await ask();
  expect(before.usage.guesses).toBeUndefined();
  const plainSteps = await stepsOf(ask);
  let predicted = before;
  const steps = await stepsOf(async () => (predicted = await ask(before.text)));
  expect(predicted.text).toBe(before.text);
  expect(steps).toBeLessThan(plainSteps / 2);
  const { accepted, tokens } = predicted.usage.guesses!;
  expect(accepted).toBeGreaterThan(predicted.usage.completionTokens / 2);
  expect(tokens).toBeGreaterThanOrEqual(accepted);
  const wrong = await ask('Nothing of this comes in the answer, whatever it is that is asked.');
  expect(wrong.text).toBe(before.text);
});

describe('switched off', () => {
  const plain = useModelEngine(undefined, { promptLookup: false });

  it('guesses nothing, and answers the same', async () => {
    const { text } = await plain.answer(raw(REFRAIN, { maxTokens: 60 }));
    const { drafts, decodeSteps } = await plain.engine.stats();
    expect(drafts).toEqual({ tokens: 0, accepted: 0 });
    expect(decodeSteps).toBeGreaterThanOrEqual(59);
    expect((await answer(raw(REFRAIN, { maxTokens: 60 }))).text).toBe(text);
  });
});
