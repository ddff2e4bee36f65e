import { BLOCK, body, CHAT, MASK, policyServices, read } from '../support/policy-service';
import { neverEnds, says, ScriptedEngine } from '../support/scripted-engine';
import { eventsOf, until } from '../support/test-service';

const { start, writePolicy } = policyServices();

describe('word rules', () => {
  test('mask what comes in, in every message, and say so without the word', async () => {
    const { call, engine, logged } = await start({ words: [MASK] });
    await call(CHAT, {
      ...body('Who is Ada  Lovelace?'),
      messages: [
        { role: 'system', content: '不要说敏感词。' },
        { role: 'user', content: [{ type: 'text', text: 'Who is ADA LOVELACE?' }] },
      ],
    });
    expect(engine.requests[0]?.input).toEqual({
      messages: [
        { role: 'system', content: '不要说***。' },
        { role: 'user', content: 'Who is ***?' },
      ],
    });
    await until(() => logged().length === 2);
    expect(logged()[0]).toMatch(
      /\[SEC\] req=\S+ user=api-key sensitive words in the input, masked: "names" x2$/,
    );
    // "Ada" alone can stand in the request's id, which is hexadecimal.
    expect(logged().join()).not.toMatch(/lovelace|敏感/i);
  });

  test('block what comes in: 400, and the engine never sees it', async () => {
    const { call, engine, logged } = await start({ words: [BLOCK] });
    for (const stream of [false, true]) {
      const answer = await call(CHAT, body('how to build a BOMB', { stream }));
      expect(answer.status).toBe(400);
      expect(await read(answer)).toMatchObject({ error: { code: 'content_filter' } });
    }
    expect(engine.requests).toEqual([]);
    expect(logged()[0]).toMatch(/\[SEC\] .*blocked by "bad things"/);
  });

  test('mask what goes out, whole and streamed, also a word that comes in pieces', async () => {
    const engine = new ScriptedEngine(says('I am A', 'da ', 'Love', 'lace', ', 敏', '感', '词!'));
    const { call } = await start({ words: [MASK] }, engine);
    const whole = await read(await call(CHAT, body('hi')));
    expect(whole.choices[0]).toMatchObject({ message: { content: 'I am ***, ***!' }, finish_reason: 'stop' });
    const events = eventsOf(await (await call(CHAT, body('hi', { stream: true }))).text());
    const pieces = events
      .slice(0, -1)
      .map(
        (event) => (JSON.parse(event) as { choices: { delta: { content?: string } }[] }).choices[0]?.delta,
      );
    expect(pieces.map((delta) => delta?.content ?? '').join('')).toBe('I am ***, ***!');
    expect(events.join()).not.toMatch(/Love|敏|感/);
  });

  test('end an answer before a blocked word, and the work with it', async () => {
    const engine = new ScriptedEngine(async function* (request, signal) {
      yield { type: 'start', promptTokens: 7, cachedTokens: 3 };
      for (const text of ['Take a bo', 'mb ']) yield { type: 'text', text, tokens: 2 };
      yield* neverEnds()(request, signal);
    });
    const { call, logged } = await start({ words: [BLOCK] }, engine);
    const answer = await read(await call(CHAT, body('hi')));
    expect(answer).toMatchObject({
      choices: [{ message: { content: 'Take a ' }, finish_reason: 'content_filter' }],
      usage: { prompt_tokens: 7, completion_tokens: 4 },
    });
    await until(() => engine.cancelled.length === 1);
    expect(logged()[0]).toMatch(/\[SEC\] .*sensitive words in the output, blocked by "bad things"/);
  });

  /** What an earlier turn asked for, with these arguments. */
  const called = (given: string, name = 'look', id = 'c1') => ({
    messages: [
      { role: 'user', content: 'Look.' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id, type: 'function', function: { name, arguments: given } }],
      },
      { role: 'tool', tool_call_id: id, content: 'Seen.' },
    ],
  });

  describe('look at all that the model reads, or is held to', () => {
    const FREE: [string, object][] = [
      ['description', { description: 'a bomb' }],
      ['schema’s description', { parameters: { type: 'object', description: 'a bomb' } }],
      [
        'property’s title',
        { parameters: { type: 'object', properties: { a: { type: 'null', title: 'bomb' } } } },
      ],
    ];
    const of = (schema: object) => ({ parameters: { type: 'object', properties: { a: schema } } });
    const FIXED: [string, object][] = [
      ['name', { name: 'bomb' }],
      ['property', { parameters: { type: 'object', properties: { bomb: { type: 'null' } } } }],
      ['definition', { parameters: { type: 'object', $defs: { bomb: { type: 'null' } } } }],
      ['deep property', of({ type: 'array', items: { type: 'object', properties: { bomb: {} } } })],
      ['enum', of({ enum: ['a', 'bomb'] })],
      ['constant', of({ anyOf: [{ const: 'a bomb' }, { type: 'null' }] })],
      ['constant’s description', of({ enum: [{ description: 'bomb' }] })],
      ['default', of({ type: 'string', default: 'bomb' })],
      ['pattern', of({ type: 'string', pattern: '^bomb$' })],
    ];
    const functionWith = (extra: object) => ({ name: 'look', ...extra });
    const chat = (extra: object) => ({ tools: [{ type: 'function', function: functionWith(extra) }] });
    const MASK_BOMB = { ...BLOCK, action: 'mask' };

    test.each([...FREE, ...FIXED])('a tool’s %s that is blocked: 400', async (_what, extra) => {
      const { call, engine, logged } = await start({ words: [BLOCK] });
      const tool = functionWith(extra);
      const answers = [
        await call(CHAT, body('hi', chat(extra))),
        await call('/api/v1/chat', { ...body('hi', chat(extra)), model: undefined }),
        await call(
          CHAT,
          body('hi', { ...chat(extra), tool_choice: { type: 'function', function: { name: tool.name } } }),
        ),
        await call('/v1/responses', {
          model: 'test-model',
          input: 'hi',
          tools: [{ type: 'function', ...tool }],
        }),
      ];
      for (const answer of answers) {
        expect([answer.status, await answer.json()]).toMatchObject([
          400,
          { error: { code: 'content_filter', param: 'tools' } },
        ]);
      }
      expect(engine.requests).toEqual([]);
      expect(logged()[0]).toMatch(/\[SEC\] .* in the input, blocked by "bad things"/);
    });

    test.each(FREE)('a tool’s %s is masked', async (_what, extra) => {
      const { call, engine } = await start({ words: [MASK_BOMB] });
      expect((await call(CHAT, body('hi', chat(extra)))).status).toBe(200);
      const expected = JSON.parse(JSON.stringify(functionWith(extra)).replace('bomb', '***')) as object;
      expect(engine.requests[0]?.tools?.functions).toEqual([expected]);
    });

    test.each(FIXED)('a tool’s %s cannot be masked: 400', async (_what, extra) => {
      const { call, logged } = await start({ words: [MASK_BOMB] });
      expect((await call(CHAT, body('hi', chat(extra)))).status).toBe(400);
      expect(logged()[0]).toMatch(/\[SEC\] .* in the input, blocked by "bad things": "bad things" x1$/);
    });

    test.each([BLOCK, MASK_BOMB])('a format, and the name in an earlier call: %j', async (rule) => {
      const { call, engine } = await start({ words: [rule] });
      const schema = { type: 'object', properties: { a: { enum: ['bomb'] } } };
      for (const given of [
        { name: 'bomb', schema: {} },
        { name: 'x', schema },
      ]) {
        const format = { type: 'json_schema', json_schema: given };
        const chatAnswer = await call(CHAT, body('hi', { response_format: format }));
        expect([chatAnswer.status, await chatAnswer.json()]).toMatchObject([
          400,
          { error: { param: 'response_format' } },
        ]);
        const text = { format: { type: 'json_schema', ...given } };
        const answer = await call('/v1/responses', { model: 'test-model', input: 'hi', text });
        expect([answer.status, await answer.json()]).toMatchObject([
          400,
          { error: { param: 'text.format' } },
        ]);
      }
      expect((await call(CHAT, body('', called('{}', 'bomb')))).status).toBe(400);
      const described = { name: 'x', description: 'a bomb', schema: { type: 'object', title: 'bomb' } };
      const answer = await call(
        CHAT,
        body('hi', { response_format: { type: 'json_schema', json_schema: described } }),
      );
      expect(answer.status).toBe(rule === BLOCK ? 400 : 200);
      const clean = { name: 'x', description: 'a ***', schema: { type: 'object', title: '***' } };
      expect(engine.requests.map(({ format }) => format)).toEqual(
        rule === BLOCK ? [] : [{ type: 'json_schema', ...clean }],
      );
      const prompt = await call('/v1/responses', { model: 'test-model', input: 'bomb' });
      if (rule === BLOCK) expect(await prompt.json()).toMatchObject({ error: { param: 'input' } });
    });

    test('but not at the words of every schema', async () => {
      const words = ['object', 'properties', 'string', 'type', 'enum', 'date', 'format', 'description'];
      const { call, engine } = await start({ words: [{ ...BLOCK, words }] });
      const parameters = {
        type: 'object',
        properties: { a: { type: ['string', 'null'], format: 'date', description: 'x' }, b: { enum: ['y'] } },
      };
      expect((await call(CHAT, body('hi', chat({ parameters })))).status).toBe(200);
      expect(engine.requests[0]?.tools?.functions).toEqual([{ name: 'look', parameters }]);
      const named = { type: 'object', properties: { date: { type: 'null' } } };
      expect((await call(CHAT, body('hi', chat({ parameters: named })))).status).toBe(400);
    });

    test.each([
      { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object' },
      { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' },
      { type: 'object', properties: { a: { format: 'uri' }, b: { format: 'regex' } } },
    ])('nor at what names a dialect or a format, of a remote service: %j', async (parameters) => {
      const engine = new ScriptedEngine();
      Object.assign(engine.model, { isRemote: true });
      const words = ['draft', 'schema', 'json', 'org', 'uri', 'regex'];
      const { call } = await start({ words: [{ ...BLOCK, words }] }, engine);
      expect((await call(CHAT, body('hi', chat({ parameters })))).status).toBe(200);
      const other = { $schema: 'https://example.org/draft', type: 'object' };
      expect((await call(CHAT, body('hi', chat({ parameters: other })))).status).toBe(400);
    });

    test('of a remote service, also what it alone knows, however deep', async () => {
      const engine = new ScriptedEngine();
      Object.assign(engine.model, { isRemote: true });
      const { call } = await start({ words: [BLOCK] }, engine);
      const deep = (inside: unknown, depth: number): unknown =>
        depth === 0 ? inside : { not: deep(inside, depth - 1) };
      for (const [inside, status] of [
        [{ 'x-bomb': 1 }, 400],
        [{ 'x-a': ['bomb'] }, 400],
        [{ 'x-a': 1 }, 200],
      ] as const) {
        const parameters = { type: 'object', if: deep(inside, 1500) };
        expect((await call(CHAT, body('hi', chat({ parameters })))).status).toBe(status);
      }
    });
  });

  test('read the arguments of earlier calls as the JSON that they are', async () => {
    const { call, engine } = await start({ words: [MASK, BLOCK] });
    for (const given of [
      String.raw`{"a":"\u0062omb"}`,
      String.raw`{"b\u006fmb":1}`,
      String.raw`{"a":"x\nbomb"}`,
    ]) {
      expect((await call(CHAT, body('', called(given)))).status).toBe(400);
    }
    await call(CHAT, body('', called(String.raw`{ "a": 12345678901234567890, "b": "\u0041da Lovelace\n" }`)));
    expect(engine.requests).toHaveLength(1);
    expect(engine.requests[0]?.input).toMatchObject({
      messages: [{}, { toolCalls: [{ arguments: '{ "a": 12345678901234567890, "b": "***\\n" }' }] }, {}],
    });
  });

  test('read calls, and answers in JSON, by what their escapes mean', async () => {
    const engine = new ScriptedEngine(async function* ({ tools }) {
      yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
      const usage = { promptTokens: 7, cachedTokens: 0, completionTokens: 3 };
      if (tools !== undefined) yield { type: 'tool-call', index: 0, name: 'look' };
      for (const text of ['{"a":"\\u00', '41da Love\\', 'u006cace"}']) {
        yield tools === undefined
          ? { type: 'text', text, tokens: 1 }
          : { type: 'tool-arguments', index: 0, text, tokens: 1 };
      }
      yield { type: 'end', finishReason: 'stop', usage };
    });
    const { call } = await start({ words: [MASK] }, engine);
    const json = await read(await call(CHAT, body('hi', { response_format: { type: 'json_object' } })));
    expect(json.choices[0]?.message.content).toBe('{"a":"***"}');
    const tools = [{ type: 'function', function: { name: 'look' } }];
    expect(await read(await call(CHAT, body('hi', { tools })))).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: { arguments: '{"a":"***"}' } }] } }],
    });
    // In a text that need not be JSON, a backslash is a backslash.
    expect((await read(await call(CHAT, body('hi')))).choices[0]?.message.content).toContain('\\u006cace');
  });

  test('leave JSON as JSON where a number is masked', async () => {
    const engine = new ScriptedEngine(async function* ({ tools }) {
      yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
      const usage = { promptTokens: 7, cachedTokens: 0, completionTokens: 3 };
      if (tools !== undefined) yield { type: 'tool-call', index: 0, name: 'look' };
      for (const text of ['{"a":55', '51', '234}']) {
        yield tools === undefined
          ? { type: 'text', text, tokens: 1 }
          : { type: 'tool-arguments', index: 0, text, tokens: 1 };
      }
      yield { type: 'end', finishReason: tools === undefined ? 'stop' : 'tool_calls', usage };
    });
    const { call } = await start({ words: [{ ...MASK, words: ['5551234'] }] }, engine);
    const json = await read(await call(CHAT, body('hi', { response_format: { type: 'json_object' } })));
    expect(json.choices[0]?.message.content).toBe('{"a":"***"}');
    const tools = [{ type: 'function', function: { name: 'look' } }];
    expect(await read(await call(CHAT, body('hi', { tools })))).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: { arguments: '{"a":"***"}' } }] } }],
    });
    await call(CHAT, body('', called('{"a": 5551234}')));
    expect(engine.requests.at(-1)?.input).toMatchObject({
      messages: [{}, { toolCalls: [{ arguments: '{"a": "***"}' }] }, {}],
    });
    // Elsewhere a number is a word as any.
    expect((await read(await call(CHAT, body('hi')))).choices[0]?.message.content).toBe('{"a":***}');
  });

  test.each([BLOCK, { ...BLOCK, action: 'mask' }])(
    'end an answer before a call of a tool with such a name: %j',
    async (rule) => {
      const engine = new ScriptedEngine(async function* (request, signal) {
        yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
        for (const [index, name] of ['look', 'make-bomb'].entries()) {
          yield { type: 'tool-call', index, name };
          yield { type: 'tool-arguments', index, text: '{}', tokens: 2 };
        }
        yield* neverEnds()(request, signal);
      });
      const { call, logged } = await start({ words: [{ ...rule, on: ['output'] }] }, engine);
      const tools = ['look', 'make-bomb'].map((name) => ({ type: 'function', function: { name } }));
      expect(await (await call(CHAT, body('hi', { tools }))).json()).toMatchObject({
        choices: [
          {
            message: { tool_calls: [{ function: { name: 'look', arguments: '{}' } }] },
            finish_reason: 'content_filter',
          },
        ],
        usage: { completion_tokens: 2 },
      });
      const streamed = await (await call(CHAT, body('hi', { tools, stream: true }))).text();
      expect(streamed).toContain('"content_filter"');
      expect(streamed).not.toContain('bomb');
      await until(() => engine.cancelled.length === 2);
      expect(logged()[0]).toMatch(/\[SEC\] .* in the output, blocked by "bad things": "bad things" x1$/);
    },
  );

  test('look at each of several calls by itself, also where a remote service sends them mixed', async () => {
    const engine = new ScriptedEngine(async function* () {
      yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
      for (const index of [0, 1]) yield { type: 'tool-call', index, name: 'look' };
      for (const [index, text] of [
        [0, '{"a":"bo'],
        [1, '{"b":"bo'],
        [0, 'mb"}'],
        [1, 'at"}'],
      ] as const) {
        yield { type: 'tool-arguments', index, text, tokens: 1 };
      }
      const usage = { promptTokens: 7, cachedTokens: 0, completionTokens: 4 };
      yield { type: 'end', finishReason: 'tool_calls', usage };
    });
    const { call } = await start({ words: [{ ...BLOCK, action: 'mask' }] }, engine);
    const tool = { name: 'look' };
    const [first, second] = [{ arguments: '{"a":"***"}' }, { arguments: '{"b":"boat"}' }];
    expect(
      await (await call(CHAT, body('hi', { tools: [{ type: 'function', function: tool }] }))).json(),
    ).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: first }, { function: second }] } }],
    });
    const request = { model: 'test-model', input: 'hi', tools: [{ type: 'function', ...tool }] };
    const output = [
      { type: 'function_call', status: 'completed', ...first },
      { type: 'function_call', status: 'completed', ...second },
    ];
    expect(await (await call('/v1/responses', request)).json()).toMatchObject({ output });
    const streamed = await (await call('/v1/responses', { ...request, stream: true })).text();
    const said = eventsOf(streamed.replaceAll(/^event: .*\n/gm, '')).map(
      (event) => JSON.parse(event) as { type: string; output_index: number; delta?: string },
    );
    for (const index of [0, 1]) {
      const pieces = said
        .filter(({ output_index }) => output_index === index)
        .map(({ delta }) => delta ?? '');
      expect(pieces.join('')).toBe(output[index]?.arguments);
    }
    expect(said.at(-1)).toMatchObject({ type: 'response.completed', response: { output } });
  });

  test('change without a restart', async () => {
    const { call } = await start({});
    writePolicy({ words: [BLOCK] });
    const deadline = performance.now() + 40_000;
    let status = 200;
    while (status === 200 && performance.now() < deadline) status = (await call(CHAT, body('bomb'))).status;
    expect(status).toBe(400);
  });
});
