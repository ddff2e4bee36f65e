/** `prediction`: what a client expects much of the answer to be, which makes it come sooner and not another one. */
import type { DraftFigures } from '../../../runtime/src/engine/engine';
import { ScriptedEngine, type Script } from '../support/scripted-engine';
import { eventsOf, startTestService, stopTestServices } from '../support/test-service';

stopTestServices();

const CHAT = '/v1/chat/completions';
const BODY = {
  model: 'test-model',
  messages: [{ role: 'user', content: 'Rename a to b: const a = 1;' }],
  prediction: { type: 'content', content: 'const b = 1;' },
};

/** Tells of guesses where the request has a prediction, as the local engine does. */
const guesses: DraftFigures = { tokens: 9, accepted: 5 };
const guessing: Script = async function* ({ prediction }) {
  yield { type: 'start', promptTokens: 7, cachedTokens: 0 };
  yield { type: 'text', text: 'const b = 1;', tokens: 6 };
  const usage = { promptTokens: 7, cachedTokens: 0, completionTokens: 6 };
  yield {
    type: 'end',
    finishReason: 'stop',
    usage: prediction === undefined ? usage : { ...usage, guesses },
  };
};
const start = (config: object = {}) => startTestService({ engine: new ScriptedEngine(guessing), config });

test('goes to the engine, as one text', async () => {
  const { call, engine } = await start();
  await call(CHAT, BODY);
  const parts = ['const b', ' = 1;'].map((text) => ({ type: 'text', text }));
  await call(CHAT, { ...BODY, prediction: { type: 'content', content: parts } });
  await call(CHAT, { ...BODY, prediction: null });
  expect(engine.requests.map(({ prediction }) => prediction)).toEqual([
    'const b = 1;',
    'const b\n = 1;',
    undefined,
  ]);
});

test('the usage tells how many guesses were right, whole and streamed; not without one', async () => {
  const { call } = await start();
  const details = { accepted_prediction_tokens: 5, rejected_prediction_tokens: 4 };
  const whole = await call(CHAT, BODY);
  expect(await whole.json()).toMatchObject({ usage: { completion_tokens_details: details } });
  const stream = { stream: true, stream_options: { include_usage: true } };
  const streamed = eventsOf(await (await call(CHAT, { ...BODY, ...stream })).text());
  expect(JSON.parse(streamed.at(-2)!)).toMatchObject({ usage: { completion_tokens_details: details } });
  const plain = (await (await call(CHAT, { ...BODY, prediction: null })).json()) as { usage: object };
  expect(plain.usage).not.toHaveProperty('completion_tokens_details');
});

test('the response cache does not look at it', async () => {
  const { call, engine } = await start({ model_path: __filename, cache: { store: 'memory' } });
  const ask = async (prediction: object | null) => {
    const response = await call(CHAT, { ...BODY, temperature: 0, prediction });
    const { usage } = (await response.json()) as { usage: object };
    return [response.headers.get('x-cache'), 'completion_tokens_details' in usage];
  };
  expect(await ask(BODY.prediction)).toEqual(['miss', true]);
  // Nothing is guessed of what is there already.
  expect(await ask(null)).toEqual(['hit', false]);
  expect(await ask({ type: 'content', content: 'something else' })).toEqual(['hit', false]);
  expect(engine.requests).toHaveLength(1);
});

test.each([
  ['a text', 'const b', 'prediction', /to be \{"type": "content", "content": …\}, got "const b"/],
  ['another type', { type: 'text', content: 'x' }, 'prediction.type', /"content"/],
  ['no content', { type: 'content' }, 'prediction.content', /a text/],
  ['a picture', { type: 'content', content: [{ type: 'image_url' }] }, 'prediction.content', /text/],
])('refuses %s by name', async (_, prediction, param, message) => {
  const { call } = await start();
  const response = await call(CHAT, { ...BODY, prediction });
  expect(response.status).toBe(400);
  const { error } = (await response.json()) as { error: { param: string; message: string } };
  expect(error.param).toMatch(new RegExp(`^${param}`));
  expect(error.message).toMatch(message);
});
