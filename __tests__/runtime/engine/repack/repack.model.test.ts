/** The real model in Q4_1, as it is and repacked: the same answers, up to what rounding does. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChosenLogprob } from '../../../../runtime/src/engine/engine';
import { SupervisedEngine } from '../../../../runtime/src/engine/supervised-engine';
import { childEnvironment } from '../../../../runtime/src/engine/supervisor';
import { testModel } from '../../../support/test-model';
import { CHILD, never, request } from '../support/model-engine';

jest.setTimeout(120_000);

const PROMPTS = [
  'The capital of France is',
  'Water boils at a temperature of',
  'Once upon a time there was a',
  'The opposite of hot is',
  'def add(a, b):\n    return',
  'Dear Sir or Madam, I am writing to',
  'Die Hauptstadt von Deutschland ist',
  '1, 2, 3, 4, 5,',
].map((prompt) => `${'The following is the beginning of a text. '.repeat(4)}${prompt}`);

async function nextTokens(repack: boolean) {
  const engine = new SupervisedEngine(
    { modelPath: testModel().path, contextSize: 512, promptCacheMiB: 0, repack, log: () => undefined },
    CHILD,
  );
  try {
    await engine.start();
    const firsts: ChosenLogprob[] = [];
    for (const prompt of PROMPTS) {
      const asked = { ...request(''), input: { prompt }, maxTokens: 1, topLogprobs: 20 };
      for await (const event of engine.generate(asked, never)) {
        if (event.type === 'text') firsts.push(...(event.logprobs ?? []));
      }
    }
    return { notes: engine.model.notes.join('\n'), firsts };
  } finally {
    await engine.stop();
  }
}

it('repacks the test model, answers as without, and leaves no file', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'repack-'));
  const restore = temporaryFolder(scratch);
  try {
    const [repacked, asItIs] = [await nextTokens(true), await nextTokens(false)];
    expect(repacked.notes).toContain(
      '210 matrices in Q4_1 are evaluated as 150 in Q4_0 and their difference',
    );
    expect(asItIs.notes).not.toContain('Q4_1');
    const divergences = asItIs.firsts.map((first, index) => divergence(first, repacked.firsts[index]!));
    expect(divergences).toHaveLength(PROMPTS.length);
    // Over 400 tokens of a text it is 0.005; without the adapter it is above 1.
    expect(mean(divergences)).toBeLessThan(0.02);
    expect(mean(divergences)).toBeGreaterThan(0);
    expect(readdirSync(scratch)).toEqual([]);
  } finally {
    restore();
    rmSync(scratch, { recursive: true, force: true });
  }
});

it('serves the model as it is where it cannot be written anew', async () => {
  const restore = temporaryFolder('/nonexistent');
  try {
    const { notes, firsts } = await nextTokens(true);
    expect(notes).toMatch(/210 matrices stay in Q4_1, which is slower: .*ENOENT/);
    expect(firsts).toHaveLength(PROMPTS.length);
  } finally {
    restore();
  }
});

it.each([
  [
    'lacks its last byte',
    (bytes: Buffer) => bytes.subarray(0, -1),
    'is cut short: 1 of its 98362432 bytes are missing',
  ],
  [
    'has a tensor in a wrong place',
    (bytes: Buffer) => {
      const name = 'blk.3.ffn_up.weight';
      // Behind the name: the number of dimensions, two of them, the type, the place.
      const at = bytes.indexOf(name) + name.length + 4 + 2 * 8 + 4;
      bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at) + 7n, at);
      return bytes;
    },
    'is damaged or cut short',
  ],
])('refuses a file that %s, as without', async (_, damaged, message) => {
  const scratch = mkdtempSync(join(tmpdir(), 'repack-'));
  const modelPath = join(scratch, 'damaged.gguf');
  writeFileSync(modelPath, damaged(readFileSync(testModel().path)));
  const engine = new SupervisedEngine(
    { modelPath, contextSize: 512, promptCacheMiB: 0, log: () => undefined },
    CHILD,
  );
  try {
    await expect(engine.start()).rejects.toThrow(message);
  } finally {
    await engine.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
});

it('writes to a disk where nobody has chosen a folder: /tmp may be memory', () => {
  const restore = temporaryFolder(undefined);
  try {
    expect(childEnvironment()['TMPDIR']).toBe('/var/tmp');
  } finally {
    restore();
  }
});

function temporaryFolder(path: string | undefined): () => void {
  const before = process.env['TMPDIR'];
  const set = (value: string | undefined) => {
    if (value === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = value;
  };
  set(path);
  return () => set(before);
}

/** Kullback-Leibler divergence over the likeliest 20 of `from`, in nats. */
function divergence(from: ChosenLogprob, to: ChosenLogprob): number {
  const other = new Map(to.top.map(({ text, logprob }) => [text, logprob]));
  return from.top.reduce((sum, { text, logprob }) => {
    const theirs = other.get(text);
    return theirs === undefined ? sum : sum + Math.exp(logprob) * (logprob - theirs);
  }, 0);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
