import { runEsModule } from '../support/es-module';

interface Complaint {
  readonly name: string;
  readonly message: string;
}

interface Part {
  readonly part: string;
  readonly passed: number;
  readonly failures: readonly Complaint[];
  readonly skipped: readonly Complaint[];
}

interface Outcome {
  /** Null without one. */
  readonly verdict: { readonly parts: readonly Part[]; readonly luck: readonly string[] } | null;
  /** The parts that were tried again. */
  readonly again: readonly string[];
  readonly output: string;
}

const good = (part: string): Part => ({ part, passed: 2, failures: [], skipped: [] });
const complaint = (part: string): Complaint => ({ name: `${part} answers`, message: 'no\nanswer' });
const bad = (part: string): Part => ({ ...good(part), passed: 1, failures: [complaint(part)] });
const skipping = (part: string): Part => ({ ...good(part), passed: 1, skipped: [complaint(part)] });
const luck = (part: string) => `failed once, passed alone: ${part} answers\n    no\n    answer`;

/** Runs tests that have these results, the first and the second time. @param first undefined: they end without any */
function twice(first: readonly Part[] | undefined, second?: readonly Part[], status?: number): Outcome {
  const { stdout, stderr } = runEsModule(`
    const { twice } = await import(new URL('../.ci/twice.mjs', scripts));
    const [first, second, status] = ${JSON.stringify([first, second, status])};
    const again = [];
    const ends = (parts, file) => parts === null
      ? ['sh', '-c', 'exit 3']
      : ['sh', '-c', 'printf %s "$0" >"$1"; exit "$2"', JSON.stringify(parts), file,
          String(status ?? Number(parts.some(({ failures }) => failures.length > 0)))];
    const verdict = await twice({
      name: 'the tests',
      command: (file) => ends(first, file),
      again: (file, parts) => { again.push(...parts); return ends(second, file); },
      read: JSON.parse,
      most: 2,
      minutes: [1, 1],
    });
    console.log(JSON.stringify({ verdict: verdict ?? null, again }));`);
  expect(stderr).toBe('');
  const lines = stdout.trimEnd().split('\n');
  return { ...(JSON.parse(lines.pop() ?? '') as Outcome), output: lines.join('\n') };
}

describe('tests that may be run twice', () => {
  it('are run once where all pass', () => {
    const parts = [good('a'), good('b')];
    expect(twice(parts)).toEqual({ verdict: { parts, luck: [] }, again: [], output: '' });
  });

  it.each([
    ['failed', bad],
    ['was skipped', skipping],
  ])('have the second verdict of what %s, which is named', (_what, first) => {
    expect(twice([good('a'), first('b')], [good('b')])).toEqual({
      verdict: { parts: [good('a'), good('b')], luck: [luck('b')] },
      again: ['b'],
      output: expect.stringContaining('the tests: once more, alone: b'),
    });
  });

  it('have failed where they fail twice', () => {
    const { verdict } = twice([bad('a'), bad('b')], [good('a'), bad('b')]);
    expect(verdict).toEqual({ parts: [good('a'), bad('b')], luck: [luck('a')] });
  });

  it('have failed where what passed before fails beside what is tried again', () => {
    const { verdict } = twice([good('path'), bad('b')], [bad('path'), good('b')]);
    expect(verdict).toEqual({ parts: [bad('path'), good('b')], luck: [luck('b')] });
  });

  it('have failed at once where many failed', () => {
    const parts = [bad('a'), bad('b'), bad('c'), good('d')];
    expect(twice(parts)).toMatchObject({ verdict: { parts, luck: [] }, again: [] });
  });

  it('have their first verdict where there is no second one', () => {
    const { verdict, output } = twice([bad('a')]);
    expect(verdict).toEqual({ parts: [bad('a')], luck: [] });
    expect(output).toContain('the tests ended without its results, exit 3');
  });

  it('have no verdict where they end without results, or badly without a failure', () => {
    expect(twice(undefined)).toMatchObject({ verdict: null, again: [] });
    expect(twice([good('a')], undefined, 1)).toMatchObject({ verdict: null, again: [] });
  });
});
