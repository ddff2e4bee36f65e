import { ApiKeys } from '../../../runtime/src/access/api-keys';

const OLD = 'old-key-0123456789abc';
const NEW = 'new-key-0123456789abc';

let values: readonly string[];
let reads: number;
let failing: Error | undefined;
let problems: string[];
let keys: ApiKeys;

async function open(refreshIntervalMs: number): Promise<void> {
  keys = await ApiKeys.open({
    source: async () => {
      reads++;
      if (failing !== undefined) throw failing;
      return values;
    },
    refreshIntervalMs,
    unknownKeyIntervalMs: 1000,
    onProblem: (text) => problems.push(text),
  });
}

beforeEach(() => {
  jest.useFakeTimers();
  values = [OLD];
  reads = 0;
  failing = undefined;
  problems = [];
});
afterEach(() => {
  keys.close();
  jest.useRealTimers();
});

describe('ApiKeys', () => {
  test('knows its keys and no others', async () => {
    values = [NEW, OLD];
    await open(0);
    expect([NEW, OLD, `${OLD} `, OLD.slice(1), ''].map((key) => keys.has(key))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  test('learns of a rotation at the interval', async () => {
    await open(300_000);
    values = [NEW, OLD];
    await jest.advanceTimersByTimeAsync(300_000);
    expect(keys.current().map((key) => key.value)).toEqual([NEW, OLD]);
  });

  test('learns of a rotation from an unknown key, right after the start too', async () => {
    await open(300_000);
    values = [NEW, OLD];
    expect(await Promise.all([keys.refreshForUnknownKey(), keys.refreshForUnknownKey()])).toEqual([
      true,
      true,
    ]);
    expect(keys.has(NEW)).toBe(true);
    expect(reads).toBe(2);
  });

  test('reads no more than a few times for unknown keys, and once more in each interval', async () => {
    await open(300_000);
    for (let guess = 0; guess < 20; guess++) await keys.refreshForUnknownKey();
    expect(reads).toBe(1 + 4);
    jest.advanceTimersByTime(2000);
    for (let guess = 0; guess < 20; guess++) await keys.refreshForUnknownKey();
    expect(reads).toBe(1 + 4 + 2);
  });

  test('reads again when the reading under way began before the key was replaced', async () => {
    await open(300_000);
    const underWay = keys.refresh();
    values = [NEW, OLD];
    expect(await keys.refreshForUnknownKey()).toBe(true);
    expect([await underWay, keys.has(NEW)]).toEqual([false, true]);
  });

  test('keeps the keys it has while the source is away, and says so', async () => {
    await open(300_000);
    failing = new Error('no route');
    await jest.advanceTimersByTimeAsync(300_000);
    expect(keys.has(OLD)).toBe(true);
    expect(problems).toEqual(['the API key could not be read again: no route']);
  });

  test('does not read keys of the configuration file again', async () => {
    await open(0);
    jest.advanceTimersByTime(3_600_000);
    expect(await keys.refreshForUnknownKey()).toBe(false);
    expect(reads).toBe(1);
  });

  test('does not open without a key', async () => {
    await open(0);
    failing = new Error('denied');
    await expect(open(0)).rejects.toThrow('denied');
  });
});
