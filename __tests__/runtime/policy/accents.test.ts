import { Turn } from '../../../runtime/src/policy/slices';
import { WordScreen, WordStream, type Writing } from '../../../runtime/src/policy/word-screen';

const compile = (words: readonly string[], match: 'word' | 'part' = 'word') =>
  WordScreen.compile([{ name: 'test', action: 'mask', match, words }]);

const inPieces = (screen: WordScreen, pieces: readonly string[], writing: Writing = 'plain') => {
  const stream = new WordStream(screen, writing);
  return pieces.map((piece) => stream.push(piece)).join('') + stream.end();
};

describe('a text with accents is masked the same wherever it is cut', () => {
  test.each([
    ['accents in another order than the word’s', 'le vi\u00EA\u0323t!', ['vi\u1EC7t'], 'le ***!'],
    ['an accent that makes another letter', 'un cafe\u0301', ['cafe'], 'un cafe\u0301'],
    ['a word that begins with an accent', 'xe\u0301abc', ['\u0301abc'], 'xe***'],
    ['the same, where the accent is a part of a letter', 'x\u00E9abc', ['\u0301abc'], 'x\u00E9***'],
    ['a Thai word that begins with a vowel sign', 'ที่รัก', ['ัก'], 'ที่ร***'],
    ['a sign of colour behind a word', 'a ❤\uFE0F b', ['❤'], 'a *** b'],
    ['the same at the end', 'a ❤\uFE0F', ['❤'], 'a ***'],
    ['one that becomes a letter without case', 'ᾳ\u0301', ['α\u0301ι'], '***'],
  ])('%s', async (_what, text, words, expected) => {
    const screen = await compile(words);
    expect((await screen.screen(text)).text).toBe(expected);
    expect(inPieces(screen, text.split(''))).toBe(expected);
    for (let at = 0; at <= text.length; at++) {
      expect(inPieces(screen, [text.slice(0, at), text.slice(at)])).toBe(expected);
    }
  });

  test.each<Writing>(['plain', 'json'])('with words and text at random, %s', async (writing) => {
    let seed = 3;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    const LETTERS = [...'eéêab かがᾳı', '\u0301', '\u0323', '\u0302', '\u0345', '\u3099', '\uFE0F', '\u200B'];
    const written = (letter: string) =>
      writing === 'json' && random(2) === 0
        ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
        : letter;
    const letters = (length: number) => Array.from({ length }, () => LETTERS[random(LETTERS.length)] ?? '');
    for (let round = 0; round < 1500; round++) {
      const words = Array.from({ length: 1 + random(3) }, () => letters(1 + random(3)).join(''));
      const visible = words.filter((word) => /[^\s\uFE0F\u200B]/.test(word));
      const screen = await compile(visible, random(2) === 0 ? 'word' : 'part');
      const text = letters(14).map(written).join('');
      const whole = (await screen.screen(text, new Turn(), writing)).text;
      const pieces: string[] = [];
      for (let at = 0; at < text.length; at += pieces.at(-1)?.length ?? 0) {
        pieces.push(text.slice(at, at + 1 + random(4)));
      }
      expect([visible, text, inPieces(screen, pieces, writing)]).toEqual([visible, text, whole]);
    }
  });
});

test('a letter that no word begins with is not held back for an accent that may come', async () => {
  const stream = new WordStream(await compile(['secret']));
  expect(stream.push('un café')).toBe('un café');
  expect(stream.push('\u0301')).toBe('\u0301');
  expect(stream.push(' s')).toBe(' ');
});

// Within the test's time: to put them all in order takes the square of it.
test('a text of nothing but accents may be long', async () => {
  const text = `e${'\u0301\u0323'.repeat(300_000)}`;
  expect((await (await compile(['secret'])).screen(text)).text).toBe(text);
});
