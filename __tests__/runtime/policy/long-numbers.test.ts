import { Turn } from '../../../runtime/src/policy/slices';
import { WordScreen, WordStream } from '../../../runtime/src/policy/word-screen';

const compile = (words: readonly string[]) =>
  WordScreen.compile([{ name: 'test', action: 'mask', match: 'part', words }]);

/** The most of the processor's time, in parts of all, that went by between two turns of the event loop. */
async function longestTurn(work: () => Promise<unknown>): Promise<number> {
  const now = () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const start = now();
  let last = start;
  let longest = 0;
  let timer: NodeJS.Immediate | undefined;
  const take = () => {
    longest = Math.max(longest, now() - last);
    last = now();
  };
  const turn = () => {
    take();
    timer = setImmediate(turn);
  };
  turn();
  await work();
  take();
  clearImmediate(timer);
  return longest / (last - start);
}

test.each([
  ['a number', `[${'5'.repeat(800_000)}]`, '["***"]'],
  ['what becomes none', `[${'5'.repeat(800_000)}x]`, '["***"x]'],
])('%s with a word in each of its digits lets others have their turn', async (_what, text, expected) => {
  const screen = await compile(['5']);
  let masked = '';
  const longest = await longestTurn(async () => {
    masked = (await screen.screen(text, new Turn(), 'json')).text;
  });
  expect(masked).toBe(expected);
  // A thirtieth, or more where memory is tidied up meanwhile; when all was done at the end, a third or more.
  expect(longest).toBeLessThan(0.2);
});

test.each([
  ['a number with a word in it', '55'.repeat(1000), '"***"'],
  ['a number without one', '44'.repeat(1000), '44'.repeat(1000)],
  ['what becomes none, with a word in it', `${'4'.repeat(1500)}5${'4'.repeat(500)}x5`, '"***"x***'],
  ['a word over its end', `${'4'.repeat(1500)}7y 5`, `${'4'.repeat(1500)}*** "***"`],
  ['what is a number up to there only', `${'5-'.repeat(600)}x`, '"***"x'],
])('a long number is masked the same wherever it is cut: %s', async (_what, number, expected) => {
  const screen = await compile(['5', '7y']);
  const text = `[${number}, "5"]`;
  for (const size of [1, 7, 1024, 3000]) {
    const stream = new WordStream(screen, 'json');
    let released = '';
    for (let at = 0; at < text.length; at += size) released += stream.push(text.slice(at, at + size));
    expect(released + stream.end()).toBe(`[${expected}, "***"]`);
  }
});
