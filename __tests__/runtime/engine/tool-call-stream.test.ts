import { ToolCallStream, type ToolPiece } from '../../../runtime/src/engine/tool-call-stream';
import { GENERIC_FORM, writeCall } from '../../../runtime/src/engine/tool-form';

const call = (name: string, given: string) => writeCall({ id: '', name, arguments: given });

/** The pieces of a text that comes in parts of `size` characters, those of one kind joined. */
function read(text: string, size: number, most = 8): { pieces: ToolPiece[]; stream: ToolCallStream } {
  const stream = new ToolCallStream(GENERIC_FORM, most);
  const all: ToolPiece[] = [];
  for (let at = 0; at < text.length; at += size) all.push(...stream.push(text.slice(at, at + size)));
  all.push(...stream.end());
  const pieces: ToolPiece[] = [];
  for (const piece of all) {
    const last = pieces.at(-1);
    if (last !== undefined && 'text' in last && 'text' in piece && last.type === piece.type) {
      pieces[pieces.length - 1] = { ...last, text: last.text + piece.text };
    } else pieces.push(piece);
  }
  return { pieces, stream };
}

describe.each([1, 2, 3, 7, 1000])('in parts of %i characters', (size) => {
  test('text without a call is text', () => {
    expect(read('a < b, <tool, <tool_call', size).pieces).toEqual([
      { type: 'text', text: 'a < b, <tool, <tool_call' },
    ]);
  });

  test('a call is taken apart, behind the text before it', () => {
    const given = '{"city": "} \\" ]", "n": [1, {"a": {}}]}';
    expect(read(`Let me look.${call('weather', given)}`, size).pieces).toEqual([
      { type: 'text', text: 'Let me look.' },
      { type: 'call', index: 0, name: 'weather' },
      { type: 'arguments', index: 0, text: given },
    ]);
  });

  test('several calls have numbers, and nothing between them is told', () => {
    const { pieces, stream } = read(`${call('a', '{}')}\n${call('b', '{"x": 1}')}`, size);
    expect(pieces).toEqual([
      { type: 'call', index: 0, name: 'a' },
      { type: 'arguments', index: 0, text: '{}' },
      { type: 'call', index: 1, name: 'b' },
      { type: 'arguments', index: 1, text: '{"x": 1}' },
    ]);
    expect([stream.calls, stream.ended]).toEqual([2, false]);
  });

  test('after as many as are allowed it is over', () => {
    const { stream } = read(call('a', '{}'), size, 1);
    expect(stream.ended).toBe(true);
  });
});

test.each([1, 2, 6, 11, 12, 20])(
  'a call that is cut after %i characters is no text where there must be one',
  (length) => {
    const begun = writeCall({ id: '', name: 'weather', arguments: '{}' }).slice(0, length);
    const stream = new ToolCallStream(GENERIC_FORM, 1, true);
    expect([...stream.push(begun), ...stream.end()]).toEqual([]);
  },
);

test('text that ends like the beginning of a call is text, where a call could have stood before it', () => {
  const stream = new ToolCallStream(GENERIC_FORM, 1, true);
  expect([...stream.push('{"a": "<tool'), ...stream.end()]).toEqual([
    { type: 'text', text: '{"a": "' },
    { type: 'text', text: '<tool' },
  ]);
});

test('a trigger that begins no call was text', () => {
  const stream = new ToolCallStream(GENERIC_FORM, 1);
  stream.push('See <tool_call> in');
  expect(stream.behindTrigger).toBe(' in');
  expect([...stream.abandon(), ...stream.push(' the <tool_call> manual')]).toEqual([
    { type: 'text', text: '<tool_call> in' },
    { type: 'text', text: ' the <tool_call> manual' },
  ]);
});
