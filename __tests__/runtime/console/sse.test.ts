import { createEventReader } from '../../../runtime/console/lib/sse.js';

const stream = ': hello\n\ndata: {"a":1}\n\nevent: x\ndata: one\ndata: two\n\ndata:[DONE]\n\n';
const events = ['{"a":1}', 'one\ntwo', '[DONE]'];

describe('the reader of a stream', () => {
  it.each([1, 2, 7, stream.length])('finds the same events in pieces of %i characters', (size) => {
    for (const source of [stream, stream.replaceAll('\n', '\r\n'), stream.replaceAll('\n', '\r')]) {
      const read = createEventReader();
      const found = [];
      for (let i = 0; i < source.length; i += size) found.push(...read(source.slice(i, i + size)));
      // A lone \r at the very end may be half of a \r\n: the event is held until the next character.
      found.push(...read('\n'));
      expect(found).toEqual(events);
    }
  });

  it('keeps an event back until it is complete', () => {
    const read = createEventReader();
    expect(read('data: half')).toEqual([]);
    expect(read(' and half\n')).toEqual([]);
    expect(read('\n')).toEqual(['half and half']);
  });
});
