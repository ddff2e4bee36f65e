/**
 * Models that keep less than all that they have read, with random weights: what they answer has to be what another process
 * answers that reads all of it, and that saw something else before. What was left of that would show: not the same is left
 * in both.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChatMessage, GenerateRequest } from '../../../runtime/src/engine/engine';
import { writeTinyModel, type TinyArchitecture } from '../../support/tiny-models';
import { longPrompt, never, request, until, useModelEngine } from './support/model-engine';

const folder = mkdtempSync(join(tmpdir(), 'botstack-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** More than a window with what llama.cpp keeps beside it, 256: of the beginning nothing is left. */
const LONG = 420;

const plain = (prompt: string, options: Partial<GenerateRequest> = {}): GenerateRequest =>
  request('', { input: { prompt }, maxTokens: 6, ...options });

const chat = (...contents: readonly string[]): GenerateRequest =>
  request('', {
    input: {
      messages: contents.map((content, at): ChatMessage => ({
        role: at % 2 === 0 ? 'user' : 'assistant',
        content,
      })),
    },
    maxTokens: 6,
  });

/** Answers of a process that has seen none of the prompts, which begin like others for a token or two at most. */
function useOther(path: string) {
  const { answer } = useModelEngine(path);
  return async (...prompts: readonly GenerateRequest[]): Promise<readonly string[]> => {
    const texts: string[] = [];
    for (const prompt of prompts) {
      const { text, usage } = await answer(prompt);
      expect(usage.cachedTokens).toBeLessThan(4);
      texts.push(text);
    }
    return texts;
  };
}

describe.each<[TinyArchitecture, { goesBackALittle: boolean }]>([
  ['gemma3', { goesBackALittle: true }],
  ['mamba', { goesBackALittle: false }],
  ['lfm2', { goesBackALittle: false }],
])('%s', (architecture, { goesBackALittle }) => {
  const path = join(folder, `${architecture}.gguf`);
  beforeAll(() => writeTinyModel(path, architecture));
  const { engine, answer } = useModelEngine(path);

  const fresh = useOther(path);

  it('answers, and by all that it has read', async () => {
    const end = longPrompt(30);
    const prompts = [longPrompt(60), longPrompt(60)].map((beginning) => plain(beginning + end));
    const texts: string[] = [];
    for (const prompt of prompts) {
      const { text, usage } = await answer(prompt);
      expect(usage.completionTokens).toBe(6);
      expect((await answer(prompt)).text).toBe(text);
      texts.push(text);
    }
    expect(texts[0]).not.toBe(texts[1]);
  });

  it('goes on with a conversation as one who reads all of it', async () => {
    const opening = longPrompt(LONG);
    const first = await answer(chat(opening));
    const turn = chat(opening, first.text, 'And why?');
    const second = await answer(turn);
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens);
    expect([second.text]).toEqual(await fresh(turn));
  });

  it.each(['a little', 'far'] as const)('goes back %s in a conversation', async (how) => {
    const [beginning, end] = how === 'far' ? [120, 270] : [LONG - 42, 12];
    const [before, after] = [longPrompt(beginning), longPrompt(end)];
    const { usage } = await answer(plain(before + longPrompt(30) + after));
    const edited = plain(before + longPrompt(30) + after);
    const again = await answer(edited);
    if (how === 'a little' && goesBackALittle) {
      expect(again.usage.cachedTokens).toBeGreaterThan(usage.promptTokens - 60);
    } else {
      expect(again.usage.cachedTokens).toBeLessThan(4);
    }
    expect([again.text]).toEqual(await fresh(edited));
  });

  it('gives four at once what each gets alone', async () => {
    const turns = [150, 190, 230, 270].map((tokens) => plain(longPrompt(tokens)));
    const together = await Promise.all(turns.map((turn) => answer(turn)));
    expect(together.map(({ text }) => text)).toEqual(await fresh(...turns));
  });

  it('finds conversations again that lost their sequence', async () => {
    const openings = Array.from({ length: 6 }, () => longPrompt(LONG));
    for (const opening of openings) await answer(plain(opening, { maxTokens: 1 }));
    const { moves } = await engine.stats();
    const turns = openings.map((opening) => plain(`${opening} and then?`));
    const answers = [];
    for (const turn of turns) answers.push(await answer(turn));
    for (const { usage } of answers) expect(usage.cachedTokens).toBeGreaterThan(LONG - 20);
    expect((await engine.stats()).moves).toBeGreaterThan(moves);
    expect(answers.map(({ text }) => text)).toEqual(await fresh(...turns));
  });

  it.each([
    ['continue', 0],
    ['part from a little before their ends', 45],
    ['part from far before their ends', 300],
  ])('brings beginnings of conversations that others %s only where they are of use', async (_, parted) => {
    const beginnings = Array.from({ length: 6 }, () => longPrompt(LONG - parted));
    const turns = beginnings.map((beginning) => plain(`${beginning}${longPrompt(parted)} and then?`));
    for (const beginning of beginnings) await answer(plain(beginning + longPrompt(parted), { maxTokens: 1 }));
    const release = await hold();
    const { moves } = await engine.stats();
    const answers = [];
    // The last of them lie on sequences, some of which are not beside the one that runs, and the first in the cache.
    for (const turn of [...turns].reverse()) answers.unshift(await answer(turn));
    const moved = (await engine.stats()).moves - moves;
    await release();
    if (parted === 0) expect(moved).toBeGreaterThanOrEqual(4);
    else expect(moved).toBe(0);
    expect(answers.map(({ text }) => text)).toEqual(await fresh(...turns));
  });

  it('leaves a conversation alone that another parts from and cannot use', async () => {
    for (const parted of goesBackALittle ? [300] : [300, 45]) {
      const beginning = longPrompt(LONG - parted);
      const opening = beginning + longPrompt(parted);
      await answer(plain(opening, { maxTokens: 1 }));
      const { moves } = await engine.stats();
      expect((await answer(plain(beginning + longPrompt(parted)))).usage.cachedTokens).toBeLessThan(4);
      expect((await answer(plain(`${opening} and then?`))).usage.cachedTokens).toBeGreaterThan(LONG - 20);
      expect((await engine.stats()).moves).toBe(moves);
    }
  });

  it('reads one token of a prompt that comes back unchanged, where the model can go back by one', async () => {
    const prompts = Array.from({ length: 5 }, () => plain(longPrompt(LONG), { maxTokens: 1 }));
    for (const prompt of prompts) await answer(prompt);
    const { text, usage } = await answer({ ...prompts[0]!, maxTokens: 6 });
    expect(usage.cachedTokens).toBe(goesBackALittle ? usage.promptTokens - 1 : 0);
    expect([text]).toEqual(await fresh({ ...prompts[0]!, maxTokens: 6 }));
  });

  it('moves an answer to another sequence, and it goes on as it would have', async () => {
    const tale = plain(longPrompt(LONG), { maxTokens: 60 });
    const alone = await fresh(tale);
    const { moves } = await engine.stats();
    for (const staying of [0, 1, 2]) {
      const others = [await hold(), await hold(), await hold()];
      let isTold = false;
      const told = answer(tale).finally(() => (isTold = true));
      // On a machine that stands still for seconds, one of the others may have ended before.
      await until(() => isTold || engine.status().running === 4);
      for (const [n, release] of others.entries()) if (n !== staying) await release();
      const { text } = await told;
      await others[staying]!();
      expect([text]).toEqual(alone);
    }
    expect((await engine.stats()).moves).toBeGreaterThan(moves);
  });

  it.each(['its answer', 'its prompt'] as const)('leaves nothing of one cancelled in %s', async (when) => {
    const opening = longPrompt(LONG);
    const controller = new AbortController();
    const events = engine.generate(plain(opening, { maxTokens: 500 }), controller.signal);
    await expect(
      (async () => {
        for await (const event of events) {
          if (event.type === (when === 'its prompt' ? 'start' : 'text')) controller.abort();
        }
      })(),
    ).rejects.toThrow();
    await until(() => engine.status().running === 0);
    const turn = plain(`${opening} and then?`);
    expect([(await answer(turn)).text]).toEqual(await fresh(turn));
  });

  /** Begins an answer that holds its sequence until it is released. */
  async function hold(): Promise<() => Promise<void>> {
    const events = engine.generate(plain(longPrompt(90), { maxTokens: 900 }), never)[Symbol.asyncIterator]();
    while ((await events.next()).value?.type !== 'text');
    return async () => {
      const { running } = engine.status();
      await events.return?.();
      // It may have ended by itself.
      await until(() => running === 0 || engine.status().running < running);
    };
  }
});

describe('phi3, whose file names a window that llama.cpp leaves out of account', () => {
  const path = join(folder, 'phi3.gguf');
  beforeAll(() => writeTinyModel(path, 'phi3'));
  const { engine, answer } = useModelEngine(path);
  const fresh = useOther(path);

  it('goes back far in conversations, also in those that lost their sequence', async () => {
    const parted = 300;
    const beginnings = Array.from({ length: 6 }, () => longPrompt(LONG - parted));
    for (const beginning of beginnings) await answer(plain(beginning + longPrompt(parted), { maxTokens: 1 }));
    const { moves } = await engine.stats();
    const turns = beginnings.map((beginning) => plain(beginning + longPrompt(parted)));
    const answers = [];
    for (const turn of turns) answers.push(await answer(turn));
    for (const { usage } of answers) expect(usage.cachedTokens).toBeGreaterThan(LONG - parted - 20);
    expect((await engine.stats()).moves).toBeGreaterThan(moves);
    expect(answers.map(({ text }) => text)).toEqual(await fresh(...turns));
  });
});
