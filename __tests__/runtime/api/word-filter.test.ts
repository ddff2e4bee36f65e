import { screenInput } from '../../../runtime/src/api/word-filter';
import { Turn } from '../../../runtime/src/policy/slices';
import { WordScreen } from '../../../runtime/src/policy/word-screen';

const FIELDS = { input: 'messages', format: 'response_format' };

describe('a schema with very many values', () => {
  let screen: WordScreen;
  beforeAll(async () => {
    const words = ['bomb', 'credit card', '17'];
    screen = await WordScreen.compile([{ name: 'no', action: 'mask', match: 'word', words }]);
  });
  const look = (values: readonly unknown[], turn?: Turn) => {
    const format = { type: 'json_schema', schema: { type: 'object', enum: values } } as const;
    return screenInput({ input: { messages: [] }, format }, screen, () => {}, FIELDS, turn);
  };
  const MANY = 10_000;

  test('lets others have their turn, however short they are', async () => {
    let breaks = 0;
    await look(
      Array.from({ length: MANY }, () => ''),
      new Turn(() => breaks++),
    );
    // A value costs some microseconds, a break comes after a part of a millisecond.
    expect(breaks).toBeGreaterThan(MANY / 100);
  });

  test('is looked at no longer than somebody waits', async () => {
    let breaks = 0;
    const turn = new Turn(() => {
      if (++breaks === 3) throw new Error('gone');
    });
    await expect(look(Array(MANY).fill(0), turn)).rejects.toThrow('gone');
    expect(breaks).toBe(3);
  });

  test.each([
    ['the last', [...Array<string>(MANY).fill('a'), 'a bomb']],
    ['a number', [1, 17]],
    ['a long one', ['x '.repeat(1020) + 'credit card' + ' x'.repeat(1000)]],
    ['one after such as end like it', ['a credit', 'bom', 'credit card']],
    ['one of a list in a list', [[{ a: ['bomb'] }]]],
  ])('hides none: %s', async (_what, values) => {
    await expect(look(values)).rejects.toMatchObject({ code: 'content_filter' });
  });

  test.each([
    ['no word over two of them', ['credit', 'card', 'bo', 'mb', 'credit ', ' card', 1, 7]],
    ['none beside another', ['bombs', 'xbomb', 'a', 'a bombe']],
  ])('has %s', async (_what, values) => {
    const { format } = await look(values);
    expect(format).toEqual({ type: 'json_schema', schema: { type: 'object', enum: values } });
  });
});
