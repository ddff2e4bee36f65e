import { SLICE, slicesOf, Turn } from '../../../runtime/src/policy/slices';
import { WordScreen, WordStream, type WordRule } from '../../../runtime/src/policy/word-screen';

const rule = (words: readonly string[], extra: Partial<WordRule> = {}): WordRule => ({
  name: 'test',
  action: 'mask',
  match: 'word',
  words,
  ...extra,
});
const masked = async (text: string, words: readonly string[], extra: Partial<WordRule> = {}) =>
  (await (await WordScreen.compile([rule(words, extra)])).screen(text)).text;

describe('words are found', () => {
  test.each<[string, string, string[], string, Partial<WordRule>?]>([
    ['whatever the case', 'A SECRET here', ['secret'], 'A *** here'],
    ['at the ends', 'secret', ['secret'], '***'],
    ['beside punctuation', '"secret", secret-ish', ['secret'], '"***", ***-ish'],
    ['in full width', 'ａ ＳＥＣＲＥＴ！', ['secret'], 'ａ ***！'],
    ['with a ligature', 'ofﬁce', ['office'], '***'],
    ['with the accent apart', 'un cafe\u0301 noir', ['café'], 'un *** noir'],
    ['with the accent apart in the rule', 'un café noir', ['cafe\u0301'], 'un *** noir'],
    ['with accents in any order', 'vi\u00EA\u0323t', ['vi\u1EC7t'], '***'],
    ['with ß as ss', 'die STRASSE, die Straße', ['straße'], 'die ***, die ***'],
    ['with either sigma', 'ΟΔΟΣ οδος', ['οδός'.normalize('NFD').replace('\u0301', '')], '*** ***'],
    ['with invisible characters in them', 'a se\u200Bcr\u00ADet', ['secret'], 'a ***'],
    ['over any white space', 'my credit\n  card', ['credit card'], 'my ***'],
    ['in Chinese, without spaces', '这是一个敏感词吗', ['敏感词'], '这是一个***吗'],
    ['of which one is part of another', '我爱北京天安门', ['北京', '天安门', '北京天安门'], '我爱***'],
    ['that overlap, as one mask', 'abcdef', ['abcd', 'cdef'], '***', { match: 'part' }],
    ['one after the other', '敏感敏感', ['敏感'], '******'],
    ['as parts, where that is asked for', 'unsecretly', ['secret'], 'un***ly', { match: 'part' }],
    ['outside the basic plane', 'x𠮷y', ['𠮷'], 'x***y'],
    ['with digits', 'call 5551234 now', ['5551234'], 'call *** now'],
    // Of が NFKD makes か and a mark; Thai writes vowels and tones as marks.
    ['after a Japanese or Thai mark', 'がsecret ที่secret', ['secret'], 'が*** ที่***'],
    ['that end in such a mark', 'りんご5 ที่AB', ['りんご', 'ที่'], '***5 ***AB'],
    [
      'beside the long vowel of Japanese',
      'サーバーsecret サーバーV2',
      ['secret', 'サーバー'],
      '****** ***V2',
    ],
    ['after an emoji in colour', '❤\uFE0Fsecret', ['secret'], '❤\uFE0F***'],
  ])('%s', async (_what, text, words, expected, extra: Partial<WordRule> = {}) => {
    expect(await masked(text, words, extra)).toBe(expected);
  });
});

describe('words are not found', () => {
  test.each([
    ['inside longer words', 'Scunthorpe, classic', ['cunt', 'ass']],
    ['with more digits beside them', 'call 15551234', ['5551234']],
    ['where an accent makes another letter', 'un café', ['cafe']],
    ['after an accented letter', 'éass', ['ass']],
    ['before a letter, with an accent at their end', 'cafés', ['café']],
    ['where a mark makes another letter, in Japanese', 'がか゚', ['か']],
    ['after a letter with a mark, in Hindi', 'किताबsecret', ['secret']],
  ])('%s', async (_what, text, words) => {
    expect(await masked(text, words)).toBe(text);
  });
});

describe('of JSON, words are found', () => {
  const cases: [string, string, string[], string, Partial<WordRule>?][] = [
    ['behind escapes', String.raw`{"a":"\u0073ecr\u0065T"}`, ['secret'], '{"a":"***"}'],
    ['in keys', String.raw`{"\u0073ecret":1}`, ['secret'], '{"***":1}'],
    ['behind a new line', String.raw`{"a":"x\nsecret"}`, ['secret'], String.raw`{"a":"x\n***"}`],
    ['with an escaped space', String.raw`["my credit\n\t card"]`, ['credit card'], '["my ***"]'],
    ['with a quote in them', String.raw`["7\" nails"]`, ['7" nails'], '["***"]'],
    ['outside the basic plane', String.raw`["x\ud842\udFB7y"]`, ['𠮷'], '["x***y"]'],
    ['with invisible characters in them', String.raw`["se\u200bcret"]`, ['secret'], '["***"]'],
    ['that overlap', String.raw`["\u0061bcd\u0065f"]`, ['abcd', 'cdef'], '["***"]', { match: 'part' }],
    ['after what is no escape', String.raw`["\q secret \u12"]`, ['secret'], String.raw`["\q *** \u12"]`],
    [
      'not where a backslash is meant',
      String.raw`["\\u0073ecret"]`,
      ['secret'],
      String.raw`["\\u0073ecret"]`,
    ],
    ['not for a letter of an escape', String.raw`["x\nbc"]`, ['nbc'], String.raw`["x\nbc"]`],
    ['not beside an escaped letter', String.raw`["secret\u0073"]`, ['secret'], String.raw`["secret\u0073"]`],
    // The other half of a mathematical bold b.
    ['behind half of a pair', '{"a":"\ud835\\udc1bomb"}', ['bomb'], '{"a":"***"}'],
    ['up to a cut', String.raw`{"a":"secret \ud842\u`, ['secret'], String.raw`{"a":"*** \ud842\u`],
    ['as a number, which becomes a string', '{"a":5551234,"b":1}', ['5551234'], '{"a":"***","b":1}'],
    ['as a part of a number', '[15, 5.5, 0]', ['5'], '["***", "***", 0]', { match: 'part' }],
    ['beside the point or sign of a number', '[1.5e3,-7]', ['7', '1'], '["***","***"]'],
    ['as the whole of it', '5551234', ['5551234'], '"***"'],
    [
      'as true, false or null',
      '{"a":true,"b":[null,false]}',
      ['true', 'null'],
      '{"a":"***","b":["***",false]}',
    ],
    ['over several numbers', '{"a":[10, 20,3]}', ['10, 20'], '{"a":["***", "***",3]}'],
    ['over the end of a number', '[111, 2]', ['1, 2', '1'], '["***", "***"]', { match: 'part' }],
    ['over a key and its value', '{"a": "b", "c": 1}', ['a": "b', 'c": 1'], '{"***": "***", "***": "***"}'],
    ['and punctuation stays', '{"a":[1,{"b,":[]}]}', ['"', ',', '{', ']', ':'], '{"a":[1,{"b***":[]}]}'],
    [
      'with an escaped quote before',
      String.raw`{"a\"":"\"7\\", "b":7}`,
      ['7'],
      String.raw`{"a\"":"\"***\\", "b":"***"}`,
    ],
    [
      'in what is none',
      'Call 5551234-x or "Ada" now, Ada',
      ['5551234', 'ada'],
      'Call ***-x or "***" now, ***',
    ],
    ['in a fence', '```json\n[7, true]\n```', ['json', '7'], '```***\n["***", true]\n```'],
    ['over words of what is none', 'a "big bomb, 7 here"', ['bomb, 7', 'a "big'], '*** *** here"'],
  ];
  test.each(cases)('%s', async (_what, text, words, expected, extra: Partial<WordRule> = {}) => {
    const screen = await WordScreen.compile([rule(words, extra)]);
    expect((await screen.screen(text, new Turn(), 'json')).text).toBe(expected);
    for (const size of [1, 2, 3, 5]) {
      const stream = new WordStream(screen, 'json');
      let released = '';
      for (let at = 0; at < text.length; at += size) released += stream.push(text.slice(at, at + size));
      expect(released + stream.end()).toBe(expected);
    }
  });

  test('and what is masked is JSON still, wherever it is cut, with rules and JSON at random', async () => {
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    const of = (from: string, length: number) =>
      Array.from({ length }, () => from.charAt(random(from.length))).join('');
    const value = (depth: number): unknown => {
      const kind = random(depth > 2 ? 4 : 6);
      if (kind === 0) return of('12', 1 + random(4)) + of('ab1 ",:\\\n\u0301敏', random(5));
      if (kind === 1) return [true, false, null][random(3)];
      if (kind === 2) return (random(2000) - 1000) / [1, 8, 1e30, 1e-30][random(4)]!;
      if (kind === 3) return of('ab \u0301"{', random(6));
      const values = Array.from({ length: random(4) }, () => value(depth + 1));
      return kind === 4 ? values : Object.fromEntries(values.map((one) => [of('ab12', 1 + random(3)), one]));
    };
    const shape = (given: unknown): unknown => {
      if (Array.isArray(given)) return given.map(shape);
      if (typeof given !== 'object' || given === null) return 'value';
      return Object.values(given).map(shape);
    };
    for (let round = 0; round < 1000; round++) {
      const words = Array.from({ length: 1 + random(4) }, () => of('ab12, ":e.-rul\u0301敏', 1 + random(3)));
      const rules = [
        rule(
          words.filter((word) => /^\s*[^\s\u0301]/.test(word)),
          { match: random(2) ? 'word' : 'part' },
        ),
      ];
      const screen = await WordScreen.compile(rules);
      const given = value(0);
      const text = JSON.stringify(given, undefined, random(2));
      const stream = new WordStream(screen, 'json');
      let out = '';
      for (let at = 0; at < text.length;) {
        const width = 1 + random(5);
        out += stream.push(text.slice(at, at + width));
        at += width;
      }
      out += stream.end();
      expect(out).toBe((await screen.screen(text, new Turn(), 'json')).text);
      const masked = JSON.parse(out) as unknown;
      // Keys that are masked may become one.
      if (!/\*[^"]*":/.test(out)) expect(shape(masked)).toEqual(shape(given));
    }
  });

  // Within the test's time: work that grew with the square of the length took a minute.
  test('and a number may be long', async () => {
    const screen = await WordScreen.compile([rule(['5551234'], { match: 'part' })]);
    const text = `[${'5551234'.repeat(60_000)}]`;
    expect((await screen.screen(text, new Turn(), 'json')).text).toBe('["***"]');
  });

  test('and nothing of a blocked one is let through', async () => {
    const screen = await WordScreen.compile([rule(['secret'], { action: 'block' })]);
    const stream = new WordStream(screen, 'json');
    const released = [...String.raw`{"a":"b \u0073ecret"}`].map((char) => stream.push(char)).join('');
    expect([released + stream.end(), stream.blockedBy]).toEqual(['{"a":"b ', 'test']);
  });
});

describe('a text in pieces', () => {
  const TEXT =
    'Ask for the secret word, the credit card, 敏感词 and cafe\u0301; secrets and secretaries are fine.';
  let screen: WordScreen;
  beforeAll(async () => {
    screen = await WordScreen.compile([
      rule(['secret', 'credit card', '敏感词', 'café', 'secret word', 'card']),
    ]);
  });
  const streamed = (pieces: readonly string[]) => {
    const stream = new WordStream(screen);
    return pieces.map((piece) => stream.push(piece)).join('') + stream.end();
  };

  test('is masked the same wherever it is cut', async () => {
    const whole = (await screen.screen(TEXT)).text;
    expect(whole).toBe('Ask for the ***, the ***, *** and ***; secrets and secretaries are fine.');
    expect(streamed(TEXT.split(''))).toBe(whole);
    for (let at = 0; at <= TEXT.length; at++) {
      expect(streamed([TEXT.slice(0, at), TEXT.slice(at)])).toBe(whole);
    }
  });

  test.each([
    ['a phrase that begins within a longer word', ['a sm', 'art', ' ', 'show', '!'], 'a smart show!'],
    ['letter by letter', [...'a smart show!'], 'a smart show!'],
    ['the phrase itself', ['an ', 'art', ' ', 'show', '!'], 'an ***!'],
  ])('is told from longer words by what was let out before: %s', async (_what, pieces, expected) => {
    const phrases = await WordScreen.compile([rule(['art show'])]);
    const stream = new WordStream(phrases);
    expect(pieces.map((piece) => stream.push(piece)).join('') + stream.end()).toBe(expected);
  });

  test('is held back only while its end could be the beginning of a word', () => {
    const stream = new WordStream(screen);
    expect(stream.push('It is a ')).toBe('It is a ');
    expect(stream.push('se')).toBe('');
    expect(stream.push('a')).toBe('sea');
    // Inside a word no word begins.
    expect(stream.push('c')).toBe('c');
    expect(stream.push(' sec')).toBe(' ');
    expect(stream.push('ret')).toBe('');
    expect(stream.push(' ')).toBe('');
    expect(stream.push('thing')).toBe('*** thing');
    expect(stream.push(' 敏')).toBe(' ');
    expect(stream.push('捷')).toBe('敏捷');
    expect(stream.end()).toBe('');
  });

  test('never lets out a part of a word, with words and text at random', async () => {
    let seed = 1;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    const letters = (length: number) => Array.from({ length }, () => 'ab 敏感'.charAt(random(5))).join('');
    for (let round = 0; round < 300; round++) {
      const words = Array.from({ length: 1 + random(4) }, () => letters(1 + random(4))).filter((w) =>
        w.trim(),
      );
      const some = await WordScreen.compile([rule(words, { match: random(2) === 0 ? 'word' : 'part' })]);
      const text = letters(30);
      const stream = new WordStream(some);
      let out = '';
      for (let at = 0; at < text.length;) {
        const width = 1 + random(5);
        out += stream.push(text.slice(at, at + width));
        at += width;
      }
      expect(out + stream.end()).toBe((await some.screen(text)).text);
      for (const word of words) {
        if (some.patterns.every(({ rule: { match } }) => match === 'part')) {
          expect(out.replaceAll('***', '|').replace(/\s+/g, ' ')).not.toContain(
            word.trim().replace(/\s+/g, ' '),
          );
        }
      }
    }
  });
});

describe('a blocked word', () => {
  let screen: WordScreen;
  beforeAll(async () => {
    screen = await WordScreen.compile([rule(['bad'], { name: 'no', action: 'block' }), rule(['secret'])]);
  });

  test('ends the text before it', async () => {
    expect(await screen.screen('a secret, then bad things')).toEqual({
      text: 'a ***, then ',
      hits: new Map([
        ['test', 1],
        ['no', 1],
      ]),
      blockedBy: 'no',
    });
  });

  test('ends a stream, and nothing comes after', () => {
    const stream = new WordStream(screen);
    expect(stream.push('this is ba')).toBe('this is ');
    expect(stream.push('d!')).toBe('');
    expect(stream.blockedBy).toBe('no');
    expect(stream.push('more') + stream.end()).toBe('');
  });
});

describe('thousands of rules', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const word = (n: number) =>
    `${letters[n % 26]}${letters[(n >> 3) % 26]}${n.toString(36)}敏${letters[n % 7]}`;
  const text = 'The quick brown fox jumps over the lazy dog. '.repeat(2000);

  test('cost next to nothing', async () => {
    // Of the processor: how long it takes says more of what else the machine does.
    let start = process.cpuUsage();
    const usedMs = () => {
      const { user, system } = process.cpuUsage(start);
      start = process.cpuUsage();
      return (user + system) / 1000;
    };
    const screen = await WordScreen.compile([rule(Array.from({ length: 10_000 }, (_, n) => word(n)))]);
    const built = usedMs();
    await screen.screen(text);
    usedMs();
    expect((await screen.screen(text)).text).toBe(text);
    const perKilobyte = usedMs() / (text.length / 1024);
    // 0.1 to 0.3 ms a kilobyte. The bounds catch what grows with the rules.
    expect(built).toBeLessThan(2000);
    expect(perKilobyte).toBeLessThan(1);
  });

  test('let others have their turn while they are compiled, and whatever is screened', async () => {
    const screen = await WordScreen.compile([rule(['quick', word(1)])]);
    const turnsDuring = async (work: () => Promise<unknown>): Promise<number> => {
      let turns = 0;
      let timer = setImmediate(function count() {
        turns++;
        timer = setImmediate(count);
      });
      await work();
      clearImmediate(timer);
      return turns;
    };
    const thousands = rule(Array.from({ length: 20_000 }, (_, n) => `${word(n)} as a phrase ${n}`));
    // Some 120 ms of work in slices of 4; less on a faster machine.
    expect(await turnsDuring(() => WordScreen.compile([thousands]))).toBeGreaterThan(3);
    const slices = text.length / SLICE;
    expect(await turnsDuring(() => screen.screen(text))).toBeGreaterThan(slices * 0.9);
    const turn = new Turn();
    const many = async () => {
      for (let at = 0; at < text.length; at += 100) await screen.screen(text.slice(at, at + 100), turn);
    };
    expect(await turnsDuring(many)).toBeGreaterThan(slices * 0.9);
    expect(await turnsDuring(() => screen.screen('short'))).toBe(0);
  });
});

describe('slices', () => {
  test.each([
    ['pairs', '𠮷'.repeat(2000)],
    ['accents', 'e\u0301\u0323'.repeat(2000)],
    ['nothing but accents', '\u0301'.repeat(9000)],
    ['nothing', ''],
  ])('are cut between characters: %s', (what, text) => {
    const slices = [...slicesOf(text)];
    expect(slices.join('')).toBe(text);
    for (const slice of slices) {
      expect(slice.length).toBeLessThanOrEqual(2 * SLICE);
      if (what !== 'nothing but accents') expect(slice).not.toMatch(/^[\p{M}\uDC00-\uDFFF]/u);
    }
  });

  test('find a word that lies across a cut', async () => {
    const screen = await WordScreen.compile([rule(['secret word'])]);
    for (let before = SLICE - 14; before <= SLICE + 2; before++) {
      const text = `${'x '.repeat(SLICE).slice(0, before - 1)} secret word, and more`;
      expect((await screen.screen(text)).text).toMatch(/ \*\*\*, and more$/);
    }
  });
});
