import { parseLoadOptions } from '../../bench/load-options';
import { LoadRecord, type Aftermath } from '../../bench/load-record';

const GOOD: Aftermath = { running: 0, waiting: 0, answering: 4 };

/** Ten minutes, one sample each ten seconds. */
function recorded(mibAt: (seconds: number) => number): LoadRecord {
  const record = new LoadRecord();
  record.add({ outcome: 200, totalMs: 1000, firstTextMs: 100, tokens: 30 });
  record.add({ outcome: 429, totalMs: 2, tokens: 0, reason: 'busy' });
  record.add({ outcome: 'left', totalMs: 5, tokens: 0 });
  for (let at = 10; at <= 600; at += 10) record.memory.push({ at, mib: mibAt(at) });
  return record;
}

describe('the rules of a load run', () => {
  it('are kept by answers, refusals and clients that leave, with flat memory', () => {
    // Before minute 2 the service may still grow.
    const record = recorded((at) => (at < 120 ? 300 + at : 500 + (at % 20)));
    expect(record.broken(600, GOOD, 4)).toEqual([]);
    expect(record.memorySpread(600)).toBeCloseTo(0.02);
  });

  it('are broken by any other outcome, with the reason', () => {
    const record = recorded(() => 500);
    record.add({ outcome: 503, totalMs: 5, tokens: 0, reason: 'no engine' });
    record.add({ outcome: 'broken', totalMs: 5, tokens: 0, reason: 'ECONNRESET' });
    const problems = record.broken(600, GOOD, 4).join('\n');
    expect(problems).toMatch(/1 requests ended with 503; only 200 and 429 may occur/);
    expect(problems).toMatch(/1 times broken: ECONNRESET/);
    expect(problems).not.toMatch(/busy/);
  });

  it('are broken by memory that moves by more than 5 % once warm', () => {
    const problems = recorded((at) => 500 + at / 15).broken(600, GOOD, 4);
    expect(problems).toEqual([expect.stringMatching(/^memory moved by 6\.\d % of at most 5\.0 %$/)]);
  });

  it('are broken by what is left inside, and by a sequence that does not answer', () => {
    const problems = recorded(() => 500).broken(600, { running: 1, waiting: 2, answering: 3 }, 4);
    expect(problems).toEqual([
      '1 requests still run and 2 wait with no client left',
      '3 of 4 sequences answer together afterwards',
    ]);
  });

  it('are broken by a load that was none, and by one that nobody looked at', () => {
    expect(new LoadRecord().broken(60, GOOD, 4)).toEqual([
      expect.stringMatching(/no request ended with 200/),
      expect.stringMatching(/no request ended with 429/),
      expect.stringMatching(/seen less than twice/),
    ]);
  });
});

describe('parseLoadOptions', () => {
  it('takes ten minutes and the small model unless told otherwise', () => {
    expect(parseLoadOptions([])).toEqual({ minutes: 10, model: '135m' });
    expect(parseLoadOptions(['--minutes', '0.5', '--model', '1b'])).toEqual({ minutes: 0.5, model: '1b' });
  });

  it.each([
    [['--minutes', 'soon'], '--minutes should be a number from 0.5 to 1440, got soon'],
    [['--model', '7b'], '--model should be 135m or 1b, got 7b'],
  ])('says what it would take instead of %j', (argv, message) => {
    expect(() => parseLoadOptions(argv)).toThrow(message);
  });
});
