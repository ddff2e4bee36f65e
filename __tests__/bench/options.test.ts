import { parseOptions } from '../../bench/options';
import { SCENARIOS } from '../../bench/scenarios';

describe('parseOptions', () => {
  it('measures everything unless told otherwise', () => {
    expect(parseOptions([])).toEqual({
      models: ['135m', '1b'],
      scenarios: [...SCENARIOS.map(({ name }) => name), 'cache-hit', 'http-overhead'],
      rounds: 5,
      slots: 4,
    });
  });

  it('takes flags over what --quick stands for', () => {
    expect(parseOptions(['--quick'])).toMatchObject({ models: ['135m'], rounds: 2 });
    expect(parseOptions(['--slots', '8'])).toMatchObject({ slots: 8 });
    expect(parseOptions(['--quick', '--model', '1b', '--rounds', '1'])).toMatchObject({
      models: ['1b'],
      rounds: 1,
    });
  });

  it.each([
    [['--model', '7b'], '--model should be 135m, 1b or all, got 7b'],
    [['--rounds', '0'], '--rounds should be an integer from 1 to 100, got 0'],
    [['--slots', '33'], '--slots should be an integer from 1 to 32, got 33'],
    [['--scenario', 'x'], /--scenario should be one of decode, quoting, prefill, .*, got x/],
  ])('says what it would take instead of %j', (argv, message) => {
    expect(() => parseOptions(argv)).toThrow(message);
  });
});
