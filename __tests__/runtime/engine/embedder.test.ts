import { Embedder, type EmbedderOptions } from '../../../runtime/src/engine/embedder';

/** As far as an input without tokens goes: marks that the model puts around its inputs, as node-llama-cpp does it. */
function contextWith(begin: number | null, end: number | null) {
  const framed = (tokens: readonly number[]) => {
    const begun = begin === null || tokens[0] === begin ? [...tokens] : [begin, ...tokens];
    return end === null || begun.at(-1) === end ? begun : [...begun, end];
  };
  const evaluated: number[][] = [];
  const context = {
    model: { tokenize: (text: string) => (text.trim() === '' ? [] : [7]), tokens: { bos: 1, eos: 2 } },
    calculateInputLength: (tokens: readonly number[]) => framed(tokens).length,
    getEmbeddingFor: (tokens: readonly number[]) => {
      evaluated.push(framed(tokens));
      return Promise.resolve({ vector: tokens.length === 0 ? [] : [3, 4] });
    },
  };
  const embedder = new Embedder({
    context: context as unknown as EmbedderOptions['context'],
    contextSize: 16,
    sequences: 1,
    threads: {
      stepBegins: () => undefined,
      stepEnds: () => undefined,
    } as unknown as EmbedderOptions['threads'],
    emit: () => undefined,
  });
  return { embedder, evaluated };
}

test.each([
  ['both', 1, 2, [1, 2]],
  ['a beginning', 1, null, [1]],
  ['an end', null, 2, [2]],
])('nothing but spaces has the vector of %s', async (_what, begin, end, frame) => {
  const { embedder, evaluated } = contextWith(begin, end);
  const { values, tokens } = await embedder.vector(' ');
  expect([[...values].map((value) => value.toFixed(1)), tokens]).toEqual([['0.6', '0.8'], frame.length]);
  expect(evaluated).toEqual([frame]);
});

test('is refused where the model marks neither beginning nor end', async () => {
  const { embedder } = contextWith(null, null);
  await expect(embedder.vector(' ')).rejects.toThrow('has no tokens of this model');
  expect((await embedder.vector('a')).tokens).toBe(1);
});
