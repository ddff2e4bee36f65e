import { TextStream } from '../../../runtime/src/engine/text-stream';

/** A tokenizer in which each token is one byte: the hardest case there is for characters. */
const bytes = (tokens: readonly number[]): string => Buffer.from(tokens).toString('utf8');

function streamOf(text: string, stops: readonly string[]): { pieces: string[]; stopped: boolean } {
  const stream = new TextStream(bytes, stops);
  const pieces: string[] = [];
  for (const byte of Buffer.from(text)) {
    const piece = stream.push(byte);
    if (piece.text !== '') pieces.push(piece.text);
    if (piece.stopped) return { pieces, stopped: true };
  }
  const rest = stream.end();
  if (rest !== '') pieces.push(rest);
  return { pieces, stopped: false };
}

describe('TextStream', () => {
  it('never sends part of a character', () => {
    const text = '你好，世界 👩‍👩‍👧 — naïve ☕ done';
    const { pieces } = streamOf(text, []);
    expect(pieces.join('')).toBe(text);
    for (const piece of pieces) {
      expect(piece).not.toContain('\uFFFD');
      expect(Buffer.from(piece).toString('utf8')).toBe(piece); // no lone surrogate
    }
    expect(pieces.length).toBe([...text].length);
  });

  it('drops a character that the end of the answer cut in half', () => {
    const stream = new TextStream(bytes, []);
    const [first, second] = Buffer.from('😀');
    expect(stream.push(0x61).text).toBe('a');
    expect(stream.push(first!).text).toBe('');
    expect(stream.push(second!).text).toBe('');
    expect(stream.end()).toBe('');
  });

  it('keeps the text before a cut character when one token holds both', () => {
    const stream = new TextStream((tokens) => (tokens.length === 1 ? 'ab\uFFFD' : '?'), []);
    expect(stream.push(1).text).toBe('');
    expect(stream.end()).toBe('ab');
  });

  it('does not wait for ever for bytes that are no character', () => {
    const stream = new TextStream(bytes, []);
    let text = '';
    for (let i = 0; i < 12; i++) text += stream.push(0xff).text;
    expect(text.length).toBeGreaterThan(0);
  });

  it('ends before a stop string whatever pieces it comes in', () => {
    for (const stop of ['END', '\n\n', '。停', 'D']) {
      const { pieces, stopped } = streamOf(`one two ${stop} three`, [stop]);
      expect(stopped).toBe(true);
      expect(pieces.join('')).toBe('one two ');
    }
  });

  it('ends at the first of several stop strings', () => {
    const { pieces } = streamOf('a bb ccc', ['ccc', 'bb']);
    expect(pieces.join('')).toBe('a ');
  });

  it('holds back what may become a stop string, and sends it when it does not', () => {
    const stream = new TextStream(bytes, ['</end>']);
    expect(stream.push(0x3c).text).toBe(''); // <
    expect(stream.push(0x2f).text).toBe(''); // /
    expect(stream.push(0x78).text).toBe('</x');
  });

  it('finds a stop string that begins inside a false start', () => {
    const { pieces, stopped } = streamOf('aaab!', ['aab']);
    expect(stopped).toBe(true);
    expect(pieces.join('')).toBe('a');
  });

  it('sends a held beginning of a stop string when the answer ends there', () => {
    expect(streamOf('tail </en', ['</end>']).pieces.join('')).toBe('tail </en');
  });

  it('ignores empty stop strings', () => {
    expect(streamOf('text', ['']).pieces.join('')).toBe('text');
  });

  it('gives the tokens before to the tokenizer, for those that put a space before a word', () => {
    const seen: (readonly number[])[] = [];
    const stream = new TextStream((tokens, previous) => {
      seen.push([...previous]);
      return bytes(tokens);
    }, []);
    for (const byte of Buffer.from('abcde')) stream.push(byte);
    expect(seen.at(-1)).toEqual([...Buffer.from('bcd')]);
  });
});
