/** Where requests run, what is read and what is found again, with the real model. */
import type { GenerateRequest } from '../../../runtime/src/engine/engine';
import { longPrompt, never, request, until, useModelEngine } from './support/model-engine';

const { engine, answer } = useModelEngine();

describe('several at once', () => {
  it('gives four at once what each gets alone', async () => {
    const prompts = ['Name a colour.', 'Name an animal.', 'Name a country.', 'Name a fruit.'];
    const alone: string[] = [];
    for (const prompt of prompts) alone.push((await answer(request(prompt))).text);
    const together = await Promise.all(prompts.map((prompt) => answer(request(prompt))));
    // Batches of another size round differently, so the end of an answer may differ; its beginning may not.
    together.forEach(({ text }, i) => expect(text.slice(0, 12)).toBe(alone[i]!.slice(0, 12)));
  });

  it('evaluates the tokens of all running answers in one batch', async () => {
    const before = await engine.stats();
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        answer(request('', { input: { prompt: `Story ${n}: once upon a time` }, maxTokens: 48 })),
      ),
    );
    const after = await engine.stats();
    const steps = after.decodeSteps - before.decodeSteps;
    const tokens = after.decodeTokens - before.decodeTokens;
    expect(tokens / steps).toBeGreaterThan(3);
    // One batch a step: nothing was taken before the last item of its step had been queued.
    const allSteps = steps + after.prefillSteps - before.prefillSteps;
    expect(after.batches - before.batches).toBe(allSteps);
  });

  it('leaves a conversation as it was beside which three others ran', async () => {
    const resting = request(longPrompt(150), { maxTokens: 1 });
    const others = [1, 2, 3].map((n) =>
      request('', { input: { prompt: `${longPrompt(100)} Tale ${n}:` }, maxTokens: 24 }),
    );
    const alone: string[] = [];
    for (const other of others) alone.push((await answer(other)).text);
    const { usage } = await answer(resting);
    const together = await Promise.all(others.map((other) => answer(other)));
    // Batches of another size round differently, so only the beginning is sure to be the same.
    together.forEach(({ text }, n) => expect(text.slice(0, 12)).toBe(alone[n]!.slice(0, 12)));
    expect((await answer(resting)).usage.cachedTokens).toBe(usage.promptTokens - 1);
  });

  it('lets the fifth wait until one of four sequences is free', async () => {
    const running = [1, 2, 3, 4].map((n) =>
      answer(request('', { input: { prompt: `Tale ${n}:` }, maxTokens: n === 1 ? 8 : 40 })),
    );
    const fifth = answer(request('Hello', { maxTokens: 4 }));
    await until(() => engine.status().running === 4);
    expect(engine.status().waiting).toBe(1);
    const answers = await Promise.all([...running, fifth]);
    expect(answers.at(-1)!.usage.completionTokens).toBeGreaterThan(0);
    expect(engine.status()).toMatchObject({ running: 0, waiting: 0 });
  });

  it('keeps an answer running while a long prompt is read', async () => {
    const times: number[] = [];
    const controller = new AbortController();
    const story = (async () => {
      try {
        for await (const event of engine.generate(
          request('', { input: { prompt: 'A very long story:' }, maxTokens: 900 }),
          controller.signal,
        )) {
          if (event.type === 'text') times.push(performance.now());
        }
      } catch {
        // aborted below
      }
    })();
    await until(() => times.length > 10);
    const from = performance.now();
    await answer(request(longPrompt(600), { maxTokens: 1 }));
    const during = times.filter((time) => time > from).length;
    controller.abort();
    await story;
    expect(during).toBeGreaterThan(5);
  });
});

describe('prefixes', () => {
  it('reads only what is new in the second turn of a conversation', async () => {
    const first = request(`${longPrompt(200)} What is this?`);
    const { text, usage } = await answer(first);
    const second = await answer({
      ...first,
      input: {
        messages: [
          ...(first.input as { messages: [] }).messages,
          { role: 'assistant', content: text },
          { role: 'user', content: 'And why?' },
        ],
      },
    });
    expect(usage.cachedTokens).toBeLessThan(60);
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(usage.promptTokens);
  });
});

describe('where a conversation runs', () => {
  /** Begins an answer that holds its sequence until it is released. */
  async function hold(prompt: string): Promise<() => Promise<void>> {
    const events = engine
      .generate(request('', { input: { prompt }, maxTokens: 900 }), never)
      [Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'text');
    return async () => {
      const { running } = engine.status();
      await events.return?.();
      await until(() => engine.status().running < running);
    };
  }

  const cachedOf = async (conversation: GenerateRequest): Promise<number> =>
    (await answer(conversation)).usage.cachedTokens;

  it('is next to the running ones, takes its beginning along, and nobody else loses theirs', async () => {
    const openings = [0, 1, 2, 3].map(() => request(longPrompt(150), { maxTokens: 1 }));
    for (const opening of openings) await answer(opening); // one conversation on each sequence
    const release = await hold(`${longPrompt(100)} A story:`); // in place of the first
    const { moves } = await engine.stats();
    for (const n of [3, 2, 1, 3]) expect(await cachedOf(openings[n]!)).toBeGreaterThan(120);
    await answer(request(longPrompt(150), { maxTokens: 1 }));
    for (const n of [3, 1, 2, 0]) expect(await cachedOf(openings[n]!)).toBeGreaterThan(120);
    expect((await engine.stats()).moves).toBeGreaterThan(moves);
    await release();
  });

  it('finds its beginning again when there are more conversations than sequences', async () => {
    const conversations = Array.from({ length: 8 }, () => request(longPrompt(150), { maxTokens: 1 }));
    for (const conversation of conversations) expect(await cachedOf(conversation)).toBeLessThan(60);
    for (const conversation of conversations) expect(await cachedOf(conversation)).toBeGreaterThan(120);
    // Told with the next heartbeat.
    await until(() => (engine.status().promptCache?.hits ?? 0) >= 4);
    expect(engine.status().promptCache!.bytes).toBeGreaterThan(0);
  });

  it.each<[string, Partial<GenerateRequest>]>([
    ['greedy', {}],
    ['seeded', { temperature: 0.5, seed: 11 }],
    ['punished, with log-probabilities', { frequencyPenalty: 0.5, topLogprobs: 2 }],
    ['held to a grammar', { format: { type: 'json_object' } }],
  ])('moves together when those between them end, and goes on as it would have: %s', async (_, options) => {
    const tale = request('', { input: { prompt: 'A tale of rain:' }, maxTokens: 100, ...options });
    const alone = await answer(tale);
    const { moves } = await engine.stats();
    // Four run side by side. Of the three pairs that may be left of them, one at least is apart.
    for (const staying of [0, 1, 2]) {
      const others = [
        await hold('A tale of wind:'),
        await hold('A tale of snow:'),
        await hold('A tale of sun:'),
      ];
      const told = answer(tale);
      await until(() => engine.status().running === 4);
      for (const [n, release] of others.entries()) if (n !== staying) await release();
      // Batches of another size round differently, so only the beginning is sure to be the same.
      expect((await told).text.slice(0, 40)).toBe(alone.text.slice(0, 40));
      await others[staying]!();
    }
    expect((await engine.stats()).moves).toBeGreaterThan(moves);
  });

  it('reads a beginning that four share once, also when they come at the same moment', async () => {
    const system = longPrompt(450);
    const { prefillTokens } = await engine.stats();
    const users = ['cats', 'dogs', 'birds', 'fish'].map((about) =>
      answer(request('', { input: { prompt: `${system} Tell me about ${about}` }, maxTokens: 4 })),
    );
    const [first] = await Promise.all(users);
    const read = (await engine.stats()).prefillTokens - prefillTokens;
    expect(read).toBeLessThan(first!.usage.promptTokens * 2);
  });

  it('takes a shared beginning from a conversation that runs', async () => {
    const system = longPrompt(150);
    const release = await hold(`${system} A story:`);
    const second = await answer(request('', { input: { prompt: `${system} A poem:` }, maxTokens: 1 }));
    await release();
    expect(second.usage.cachedTokens).toBeGreaterThan(120);
  });
});
