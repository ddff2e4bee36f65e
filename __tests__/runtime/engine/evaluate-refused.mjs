// @ts-nocheck -- it loads what was compiled
/**
 * With the real llama.cpp, which cannot be had in Jest: evaluates what it refuses (a token that the model does not have)
 * beside what it would not, then goes on. Prints what was said and chosen.
 */
import { loadCompiledEngine } from './support/compiled-engine.mjs';

const [engine, modelPath] = process.argv.slice(2);
const { model, sequences, llama, newEvaluator, newSampler } = await loadCompiledEngine(
  engine,
  modelPath,
  256,
);
const evaluator = newEvaluator(llama);
const [first, second] = sequences;
const [one, other] = [newSampler(), newSampler()];
const prompt = model.tokenize('The capital of France is');
const evaluate = async (...parts) => (await evaluator.evaluate(parts)).map(({ chosen }) => chosen[0]?.token);
const go = (sequence, tokens, sampler) => ({ sequence, tokens, sampler });

const [begun] = await evaluate(go(first, prompt, one));
const said = await evaluate(go(first, [begun], one), go(second, [10 ** 6], other)).catch(
  ({ message }) => message,
);
const lengths = sequences.map(({ length }) => length);
const [next, fresh] = await evaluate(go(first, [begun], one), go(second, prompt, other));
second.clear();
const [again] = await evaluate(go(second, [...prompt, begun], other));
process.stdout.write(JSON.stringify({ prompt: prompt.length, begun, said, lengths, next, fresh, again }));
process.exit(0);
