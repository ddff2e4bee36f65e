import { readFileSync, writeFileSync } from 'node:fs';
import type { Token } from '../../../runtime/src/engine/native';
import { PromptCache } from '../../../runtime/src/engine/prompt-cache';
import { Sequence } from '../../../runtime/src/engine/sequence';
import { SequencePlacement } from '../../../runtime/src/engine/sequence-placement';
import type { SequenceSnapshot } from '../../../runtime/src/engine/sequence-snapshot';
import { NativeStandIn } from './support/native-stand-in';

/** A sequence's state is its tokens, ten bytes each; the files are real. */
class Files extends NativeStandIn {
  override saveSequenceStateToFile(path: string, _id: number, tokens: Uint32Array): Promise<number> {
    const text = [...tokens].map((token) => String(token).padStart(9)).join(',');
    writeFileSync(path, text);
    return Promise.resolve(text.length);
  }
  override loadSequenceStateFromFile(path: string): Promise<Uint32Array> {
    return Promise.resolve(Uint32Array.from(readFileSync(path, 'utf8').split(',').map(Number)));
  }
}

const conversation = (first: number): Token[] => Array.from({ length: 100 }, (_, i) => (first + i) as Token);

it('brings back what the cache has, although something must go to make room for what is displaced', async () => {
  const sequence = new Sequence(0, new Files());
  // Room for one conversation and a half.
  const cache = new PromptCache<SequenceSnapshot>(1500);
  const placement = new SequencePlacement([sequence], cache);
  const turn = async (first: number): Promise<number> => {
    const tokens = conversation(first);
    await placement.place(tokens, new Set());
    const found = sequence.keepFirst(sequence.evaluatedOf(tokens));
    sequence.evaluated(tokens.slice(found));
    return found;
  };
  expect([await turn(1000), await turn(2000)]).toEqual([0, 0]);
  expect([await turn(1000), await turn(2000)]).toEqual([100, 100]);
});
