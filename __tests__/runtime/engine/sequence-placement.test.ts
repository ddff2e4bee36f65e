import { readFileSync, writeFileSync } from 'node:fs';
import { PromptCache } from '../../../runtime/src/engine/prompt-cache';
import { SequencePlacement } from '../../../runtime/src/engine/sequence-placement';
import type { SequenceSnapshot } from '../../../runtime/src/engine/sequence-snapshot';

type Sequences = ConstructorParameters<typeof SequencePlacement>[0];

/** A sequence whose state is its tokens, ten bytes each; the files are real. */
class Sequence {
  contextTokens: number[] = [];
  get nextTokenIndex(): number {
    return this.contextTokens.length;
  }
  compareContextTokens(tokens: number[]): { firstDifferentIndex: number } {
    const index = tokens.findIndex((token, i) => this.contextTokens[i] !== token);
    return { firstDifferentIndex: index < 0 ? tokens.length : index };
  }
  async saveStateToFile(path: string): Promise<{ fileSize: number }> {
    const text = this.contextTokens.map((token) => String(token).padStart(9)).join(',');
    writeFileSync(path, text);
    return { fileSize: text.length };
  }
  async loadStateFromFile(path: string): Promise<void> {
    this.contextTokens = readFileSync(path, 'utf8').split(',').map(Number);
  }
  async clearHistory(): Promise<void> {
    this.contextTokens = [];
  }
}

const conversation = (first: number): number[] => Array.from({ length: 100 }, (_, i) => first + i);

it('brings back what the cache has, although something must go to make room for what is displaced', async () => {
  const sequence = new Sequence();
  // Room for one conversation and a half.
  const cache = new PromptCache<SequenceSnapshot>(1500);
  const placement = new SequencePlacement([sequence] as unknown as Sequences, cache);
  const turn = async (first: number): Promise<number> => {
    const tokens = conversation(first) as never[];
    await placement.place(tokens, new Set());
    const found = sequence.compareContextTokens(tokens).firstDifferentIndex;
    sequence.contextTokens = conversation(first);
    return found;
  };
  expect([await turn(1000), await turn(2000)]).toEqual([0, 0]);
  expect([await turn(1000), await turn(2000)]).toEqual([100, 100]);
});
