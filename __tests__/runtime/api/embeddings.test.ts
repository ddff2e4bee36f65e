import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import OpenAI from 'openai';

import { EngineError } from '../../../runtime/src/engine/engine';
import { temporaryFolder } from '../../support/temporary-folder';
import { ScriptedEngine } from '../support/scripted-engine';
import { API_KEY, startTestService, stopTestServices, until } from '../support/test-service';

stopTestServices();
const folder = temporaryFolder();

const PATH = '/v1/embeddings';

function embedder(): ScriptedEngine {
  const engine = new ScriptedEngine();
  engine.model = { ...engine.model, makes: 'embeddings', dimensions: 2 };
  return engine;
}

describe('/v1/embeddings', () => {
  test('gives OpenAI’s client one vector for each text, in the form that it asks for', async () => {
    const { url, call } = await startTestService({ engine: embedder() });
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: API_KEY });
    const { data, usage, model } = await client.embeddings.create({
      model: 'test-model',
      input: ['Hi', 'Hello'],
    });
    expect(data.map(({ embedding }) => embedding)).toEqual([
      [2, 1],
      [5, 1],
    ]);
    expect({ usage, model }).toEqual({ usage: { prompt_tokens: 6, total_tokens: 6 }, model: 'test-model' });
    const base64 = { model: 'test-model', input: 'Hi', encoding_format: 'base64' };
    expect(await (await call(PATH, base64)).json()).toMatchObject({
      object: 'list',
      data: [
        {
          object: 'embedding',
          index: 0,
          embedding: Buffer.from(Float32Array.of(2, 1).buffer).toString('base64'),
        },
      ],
    });
  });

  test.each([
    ['a text', 'Hi', ['Hi']],
    ['texts', ['a', 'bc'], ['a', 'bc']],
    ['tokens', [1, 2, 3], [[1, 2, 3]]],
    ['lists of tokens', [[1], [2, 3]], [[1], [2, 3]]],
  ])('takes %s', async (_name, input, inputs) => {
    const engine = embedder();
    const embed = jest.spyOn(engine, 'embed');
    const { call } = await startTestService({ engine });
    expect((await call(PATH, { model: 'test-model', input })).status).toBe(200);
    expect(embed.mock.calls[0]?.[0].inputs).toEqual(inputs);
  });

  test.each([
    [{ input: '' }, 'invalid_value', 'input'],
    [{ input: ['a', 1] }, 'invalid_value', 'input'],
    [{ input: [] }, 'invalid_value', 'input'],
    [{ input: [-1] }, 'invalid_value', 'input[0]'],
    [{}, 'missing_parameter', 'input'],
    [{ input: 'x', dimensions: 3 }, 'unsupported_parameter', 'dimensions'],
    [{ input: 'x', encoding_format: 'int8' }, 'invalid_value', 'encoding_format'],
    [{ input: 'x', truncate: true }, 'unknown_parameter', 'truncate'],
  ])('refuses %j', async (body, code, param) => {
    const { call } = await startTestService({ engine: embedder() });
    const response = await call(PATH, { model: 'test-model', ...body });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code, param } }]);
  });

  test('takes the dimensions that the vectors have', async () => {
    const { call } = await startTestService({ engine: embedder() });
    expect((await call(PATH, { model: 'test-model', input: 'x', dimensions: 2 })).status).toBe(200);
  });

  test('a model that writes refuses vectors, and one that makes vectors refuses to write', async () => {
    const config = { models: [{ model_path: '/embedder.gguf' }] };
    const other = embedder();
    other.model = { ...other.model, id: 'embedder' };
    const { call } = await startTestService({ config, others: [other] });
    const vectors = await call(PATH, { model: 'test-model', input: 'x' });
    expect([vectors.status, await vectors.json()]).toMatchObject([
      400,
      { error: { code: 'embeddings_unsupported' } },
    ]);
    for (const [path, body] of [
      ['/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi' }] }],
      ['/v1/completions', { prompt: 'Hi' }],
      ['/v1/responses', { input: 'Hi' }],
    ] as const) {
      const text = await call(path, { model: 'embedder', ...body });
      expect([text.status, await text.json()]).toMatchObject([
        400,
        { error: { code: 'text_unsupported', param: 'model' } },
      ]);
    }
  });

  test('a model that is being loaded is not said to be of the wrong kind', async () => {
    const engine = new ScriptedEngine();
    engine.state = 'loading';
    engine.embed = () => Promise.reject(new EngineError('engine_unavailable', 'the engine is loading'));
    const { call } = await startTestService({ engine });
    const response = await call(PATH, { model: 'test-model', input: 'x' });
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { error: { code: 'engine_unavailable' } },
    ]);
  });

  test('says which input does not fit', async () => {
    const engine = embedder();
    engine.embed = () =>
      Promise.reject(
        new EngineError('context_length_exceeded', '`input[0]` has 900 tokens, more than 512', {}),
      );
    const { call } = await startTestService({ engine });
    const response = await call(PATH, { model: 'test-model', input: 'x' });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      {
        error: {
          code: 'context_length_exceeded',
          param: 'input',
          message: expect.stringMatching(/900 .*512/),
        },
      },
    ]);
  });

  test('ends when its time is up, and when the client leaves; the place is free then', async () => {
    const engine = embedder();
    const signals: AbortSignal[] = [];
    engine.embed = (_request, signal) =>
      new Promise<never>((_resolve, reject) => {
        signals.push(signal);
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const limits = { max_request_seconds: 1, max_queue: 0 };
    const { call, logged } = await startTestService({ engine, config: { limits } });
    const late = await call(PATH, { model: 'test-model', input: 'x' });
    expect([late.status, await late.json()]).toMatchObject([504, { error: { code: 'request_timeout' } }]);

    const controller = new AbortController();
    const left = call(
      PATH,
      { model: 'test-model', input: 'x' },
      {
        signal: controller.signal,
        method: 'POST',
        body: JSON.stringify({ model: 'test-model', input: 'x' }),
      },
    );
    await until(() => signals.length === 2);
    controller.abort();
    await expect(left).rejects.toThrow();
    await until(() => signals[1]!.aborted && logged().some((line) => line.includes(' 499 ')));
  });

  test('word rules hold for what is sent', async () => {
    const words = (action: string) => ({
      words: [{ name: 'secret', action, on: ['input'], words: ['swordfish'] }],
    });
    const engine = embedder();
    const embed = jest.spyOn(engine, 'embed');
    writeFileSync(join(folder(), 'policy.yaml'), JSON.stringify(words('mask')));
    const { call, logged } = await startTestService({ engine, stateDirectory: folder() });
    expect((await call(PATH, { model: 'test-model', input: 'a swordfish' })).status).toBe(200);
    expect(embed.mock.calls[0]?.[0].inputs).toEqual(['a ***']);
    expect(logged().filter((line) => line.includes('[SEC]'))).toHaveLength(1);
    const tokens = await call(PATH, { model: 'test-model', input: [1, 2] });
    expect([tokens.status, await tokens.json()]).toMatchObject([
      400,
      { error: { code: 'unsupported_parameter' } },
    ]);
  });
});
