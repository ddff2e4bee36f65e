/** Services that speak OpenAI's format each in their own way. */
import type { GenerateEvent } from '../../../../runtime/src/engine/engine';
import { AnswerReader } from '../../../../runtime/src/engine/remote/answer-reader';

function read(choices: readonly object[], options: { topLogprobs?: number } = {}): GenerateEvent[] {
  const reader = new AnswerReader(options);
  const events = choices.flatMap((choice) => reader.read(JSON.stringify({ choices: [choice] })));
  return [...events, reader.end()];
}

const call = (fields: object, name?: string, given?: string) => ({
  delta: { tool_calls: [{ ...fields, function: { name, arguments: given } }] },
});
const STOP = { delta: {}, finish_reason: 'stop' };
const called = (events: readonly GenerateEvent[]) =>
  events.flatMap((event) =>
    event.type === 'tool-call' || event.type === 'tool-arguments'
      ? [[event.index, event.type === 'tool-call' ? event.name : event.text]]
      : [],
  );

test.each([
  [
    'indexes',
    [
      call({ index: 0, id: 'x' }, 'f', ''),
      call({ index: 0 }, undefined, '{}'),
      call({ index: 1, id: 'y' }, 'g', '[]'),
    ],
  ],
  [
    'ids alone, all numbered 0',
    [call({ index: 0, id: 'x' }, 'f', '{}'), call({ index: 0, id: 'y' }, 'g', '[]')],
  ],
  ['whole calls without either', [call({}, 'f', '{}'), call({}, 'g', '[]')]],
  [
    'an id that comes late',
    [
      call({ index: 0 }, 'f', ''),
      call({ index: 0, id: 'x' }, undefined, '{}'),
      call({ index: 1 }, 'g', '[]'),
    ],
  ],
  [
    'empty ids after the first piece',
    [
      call({ index: 3, id: 'x' }, 'f'),
      call({ index: 3, id: '' }, '', '{}'),
      call({ index: 7, id: 'y' }, 'g', '[]'),
    ],
  ],
])('tells calls apart by %s', (_what, pieces) => {
  const events = read([...pieces, STOP]);
  expect(called(events)).toEqual([
    [0, 'f'],
    [0, '{}'],
    [1, 'g'],
    [1, '[]'],
  ]);
  expect(events.at(-1)).toMatchObject({ finishReason: 'tool_calls' });
});

test('keeps the service’s own id of a call, where it can be sent back', () => {
  expect(read([call({ index: 0, id: 'abc' }, 'f'), STOP])[0]).toMatchObject({ id: 'abc' });
  expect(read([call({ index: 0, id: 'x'.repeat(129) }, 'f'), STOP])[0]).not.toHaveProperty('id');
});

test('refuses arguments without a call', () => {
  expect(() => read([call({ index: 0 }, undefined, '{}')])).toThrow(/a call that has not begun/);
});

test('gathers log-probabilities of tokens that are no text by themselves', () => {
  const token = (name: string, content: string) => ({
    delta: { content },
    logprobs: { content: [{ token: name, logprob: -1, bytes: null, top_logprobs: [] }] },
  });
  const [event] = read([token('\uFFFD', ''), token('\uFFFD', 'ß'), STOP], { topLogprobs: 0 });
  expect(event).toMatchObject({ text: 'ß', tokens: 2, logprobs: [{ text: '\uFFFD' }, { text: '\uFFFD' }] });
});

test('does not leave out in silence the log-probabilities that were asked for', () => {
  const asked = () => read([{ delta: { content: 'Hi' } }, STOP], { topLogprobs: 0 });
  expect(asked).toThrow(/sends no log-probabilities/);
});

test('passes on that a filter ended the answer, and a refusal in words', () => {
  expect(read([{ delta: { refusal: 'No.' }, finish_reason: 'content_filter' }])).toMatchObject([
    { type: 'text', text: 'No.' },
    { type: 'end', finishReason: 'content_filter' },
  ]);
});

test('counts pieces where the service counts no tokens', () => {
  expect(read([{ delta: { content: 'a' } }, { delta: { content: 'b' } }, STOP]).at(-1)).toMatchObject({
    usage: { completionTokens: 2 },
  });
});
