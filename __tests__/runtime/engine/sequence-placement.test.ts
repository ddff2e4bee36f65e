import { readFileSync, writeFileSync } from 'node:fs';
import type { Token } from '../../../runtime/src/engine/native';
import { PromptCache } from '../../../runtime/src/engine/prompt-cache';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { SequencePlacement } from '../../../runtime/src/engine/sequence-placement';
import type { SequenceSnapshot } from '../../../runtime/src/engine/sequence-snapshot';
import { commonPrefix } from '../../../runtime/src/engine/token-prefix';
import { NativeStandIn } from './support/native-stand-in';

/** A sequence's state is its tokens, ten bytes each; the files are real. */
class Files extends NativeStandIn {
  override saveSequenceStateToFile(path: string, _id: number, tokens: Uint32Array): Promise<number> {
    const text = [...tokens].map((token) => String(token).padStart(9)).join(',');
    writeFileSync(path, text);
    return Promise.resolve(text.length);
  }
  override loadSequenceStateFromFile(path: string, id: number): Promise<Uint32Array> {
    const tokens = Uint32Array.from(readFileSync(path, 'utf8').split(',').map(Number));
    this.cells.set(id, tokens.length);
    return Promise.resolve(tokens);
  }
}

/** Of a model that keeps a state of the last token instead of tokens. */
class States extends Files {
  override canForgetSome = false;
  override getSequenceKvCacheMinPosition(id: number): number {
    return (this.cells.get(id) ?? 0) - 1;
  }
}

const WINDOW = 32;
/** Of a model that looks at a window. Beside that, 32 tokens more are there, and in files they are not. */
class Windows extends Files {
  readonly #loaded = new Set<number>();
  override loadSequenceStateFromFile(path: string, id: number): Promise<Uint32Array> {
    this.#loaded.add(id);
    return super.loadSequenceStateFromFile(path, id);
  }
  override disposeSequence(id: number): void {
    this.#loaded.delete(id);
    super.disposeSequence(id);
  }
  override getSequenceKvCacheMinPosition(id: number): number {
    return Math.max(0, (this.cells.get(id) ?? 0) - (this.#loaded.has(id) ? WINDOW : 2 * WINDOW));
  }
}

const conversation = (first: number, length = 100): Token[] =>
  Array.from({ length }, (_, i) => (first + i) as Token);

/** One that begins with so many tokens of another. */
const parting = (from: readonly Token[], at: number, first: number): Token[] => [
  ...from.slice(0, at),
  ...conversation(first, 30),
];

interface Options {
  readonly sequences: number;
  readonly cacheBytes: number;
  readonly window?: number;
}

function placementOf(context: Files, { sequences: count, cacheBytes, window }: Options) {
  const sequences = Array.from({ length: count }, (_, id) => new Sequence(id, context, window));
  const placement = new SequencePlacement(sequences, new PromptCache<SequenceSnapshot>(cacheBytes));
  /** Reads a prompt beside others that run: where, and how much of it was found there. */
  const read = async (prompt: readonly Token[], ...running: readonly number[]) => {
    const sequence = await placement.place(prompt.slice(0, -1), new Set(running));
    const found = sequence.keepFirst(Math.min(commonPrefix(sequence.tokens, prompt), prompt.length - 1));
    sequence.evaluated(prompt.slice(found));
    context.cells.set(sequence.id, sequence.length);
    return { id: sequence.id, found };
  };
  return { placement, read };
}

it('brings back what the cache has, although something must go to make room for what is displaced', async () => {
  // Room for one conversation and a half.
  const { read } = placementOf(new Files(), { sequences: 1, cacheBytes: 1500 });
  const found = async (first: number) => (await read(conversation(first))).found;
  expect([await found(1000), await found(2000)]).toEqual([0, 0]);
  expect([await found(1000), await found(2000)]).toEqual([99, 99]);
});

describe('a model that keeps a state', () => {
  const first = conversation(1000);

  it('brings the whole of a conversation to another sequence, and no beginning of it', async () => {
    const { placement, read } = placementOf(new States(), { sequences: 3, cacheBytes: 10_000 });
    const { id } = await read(first);
    expect(await read(parting(first, 90, 2000), id)).toMatchObject({ found: 0 });
    expect(placement.moves).toBe(0);
    expect(await read(parting(first, 100, 3000), id)).toMatchObject({ found: 100 });
    expect(placement.moves).toBe(1);
  });

  it('leaves a conversation on its sequence that begins alike and is of no use', async () => {
    const { placement, read } = placementOf(new States(), { sequences: 2, cacheBytes: 0 });
    const { id } = await read(first);
    expect(await read(parting(first, 90, 2000))).toEqual({ id: 1 - id, found: 0 });
    expect(await read(parting(first, 100, 3000))).toEqual({ id, found: 100 });
    expect(placement.moves).toBe(0);
  });

  it('reads a prompt anew that comes back unchanged: its last token is needed', async () => {
    const { placement, read } = placementOf(new States(), { sequences: 3, cacheBytes: 10_000 });
    const { id } = await read(first);
    expect(await read(first, id)).toMatchObject({ found: 0 });
    expect(placement.moves).toBe(0);
  });

  it('brings back a short beginning rather than a longer one that is of no use', async () => {
    const { placement, read } = placementOf(new States(), { sequences: 1, cacheBytes: 10_000 });
    await read(parting(first, 100, 2000));
    await read(first); // the first 100 tokens of it
    await read(conversation(5000));
    expect(placement.promptCache.conversations).toBe(2);
    expect(await read([...parting(first, 100, 2000).slice(0, 120), ...conversation(3000)])).toMatchObject({
      found: 100,
    });
    expect(placement.moves).toBe(1);
  });
});

describe('a model that looks at a window', () => {
  const options: Options = { sequences: 2, cacheBytes: 10_000, window: WINDOW };
  const first = conversation(1000);

  it('goes back on the same sequence, as far as the window before it is there', async () => {
    const { read } = placementOf(new Windows(), options);
    const { id } = await read(first);
    expect(await read(parting(first, 60, 2000))).toEqual({ id: 1 - id, found: 0 });
    expect(await read(parting(first, 67, 3000))).toEqual({ id, found: 67 });
  });

  it.each([
    [99, 99],
    [98, 0],
  ])(
    'goes back by one token elsewhere, for files have the last window: from 100 to %i',
    async (at, found) => {
      const { placement, read } = placementOf(new Windows(), options);
      const { id } = await read(first);
      expect(await read(parting(first, at, 2000), id)).toEqual({ id: 1 - id, found });
      expect(placement.moves).toBe(found === 0 ? 0 : 1);
    },
  );
});
