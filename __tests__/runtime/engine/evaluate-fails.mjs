// @ts-nocheck -- it loads what was compiled
/**
 * With the real llama.cpp, which cannot be had in Jest: a sequence with a long prompt, then an evaluation that is refused
 * or that fails after llama.cpp has done its part, then the rest of the prompt. Prints for each how many tokens the
 * sequence had before and after, and what was chosen in the end beside what one chooses that was never disturbed.
 */
import { loadCompiledEngine } from './support/compiled-engine.mjs';

const [engine, modelPath] = process.argv.slice(2);
const { settings, model, sequences, llama, newEvaluator, newSampler } = await loadCompiledEngine(
  engine,
  modelPath,
  1024,
);

let isFailing = false;
/** Fails when all is evaluated: the memory of a batch that failed on the way is at least as near to what it was. */
const fallible = new Proxy(llama, {
  get(target, name) {
    const value = target[name];
    if (name !== 'decodeBatch') return typeof value === 'function' ? value.bind(target) : value;
    return async () => {
      await target.decodeBatch();
      if (isFailing) throw new Error('it broke');
    };
  },
});
const evaluator = newEvaluator(fallible);
const sampler = newSampler();
const [disturbed, other] = sequences;

/** In batches that the model takes; returns what comes after the last token. */
async function read(sequence, tokens) {
  let next;
  while (sequence.length < tokens.length) {
    const part = tokens.slice(sequence.length, sequence.length + settings.batchSize);
    const [{ chosen }] = await evaluator.evaluate([{ sequence, tokens: part, sampler }]);
    next = chosen[0]?.token;
  }
  return next;
}

const words = Array.from({ length: 160 }, (_, n) => `word${(n * 7919) % 911}`).join(' ');
const whole = model.tokenize(words).slice(0, 430);
const prompt = whole.slice(0, 420);
await read(other, prompt);
const undisturbed = await read(other, whole);
other.clear();

const failures = {
  refused: { tokens: [10 ** 6] },
  'failed with a token': { tokens: whole.slice(420, 421), fails: true },
  'failed with a batch': { tokens: whole.slice(0, settings.batchSize), fails: true },
};
const outcomes = {};
for (const [what, { tokens, fails = false }] of Object.entries(failures)) {
  disturbed.clear();
  await read(disturbed, prompt);
  const before = disturbed.length;
  isFailing = fails;
  const said = await evaluator
    .evaluate([{ sequence: disturbed, tokens, sampler }])
    .catch(({ message }) => message);
  isFailing = false;
  const after = disturbed.length;
  outcomes[what] = { said, before, after, next: await read(disturbed, whole) };
}
process.stdout.write(JSON.stringify({ undisturbed, outcomes }));
process.exit(0);
