/** Proof that an engine answers: a question, as a client would ask it. */
import type { Engine } from '../engine/engine.js';

const LIMIT_MS = 120_000;
const TOKENS = 8;

/** @throws where no answer comes, or an empty one */
export async function prove(engine: Engine): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new Error(`it did not answer a question in ${LIMIT_MS / 1000} s`)),
    LIMIT_MS,
  );
  try {
    const made =
      engine.model.makes === 'embeddings' ? await embed(engine, late.signal) : await ask(engine, late.signal);
    if (made === 0) throw new Error('it answers a question with nothing');
  } finally {
    clearTimeout(timer);
  }
}

async function embed(engine: Engine, signal: AbortSignal): Promise<number> {
  const { vectors } = await engine.embed({ id: 'probe', inputs: ['Say hello.'] }, signal);
  return vectors[0]?.length ?? 0;
}

async function ask(engine: Engine, signal: AbortSignal): Promise<number> {
  const request = {
    id: 'probe',
    input: { messages: [{ role: 'user', content: 'Say hello.' }] },
    maxTokens: TOKENS,
    temperature: 0,
    topP: 1,
    stop: [],
    frequencyPenalty: 0,
    presencePenalty: 0,
  } as const;
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'end') return event.usage.completionTokens;
  }
  return 0;
}
