/** The engine with the real SmolLM2, as the compiled child process runs it: llama.cpp and all. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { GenerateEvent, GenerateRequest, Usage } from '../../../../runtime/src/engine/engine';
import type { LocalEngineOptions } from '../../../../runtime/src/engine/options';
import { SupervisedEngine } from '../../../../runtime/src/engine/supervised-engine';
import { REPOSITORY, testModel } from '../../../support/test-model';

export const CHILD = join(REPOSITORY, 'runtime', 'dist', 'engine', 'child.js');
export const CONTEXT = 1024;
/** Long enough for a machine that others are using too; nothing here is a measurement. */
const PATIENCE_MS = 60_000;
export const never = new AbortController().signal;

export interface Answer {
  readonly events: readonly GenerateEvent[];
  readonly text: string;
  readonly pieces: readonly string[];
  readonly finishReason: string;
  readonly usage: Usage;
}

/** Not started. */
export function modelEngine(
  modelPath = testModel().path,
  options: Partial<LocalEngineOptions> = {},
): SupervisedEngine {
  if (!existsSync(CHILD)) throw new Error(`${CHILD} is missing: run npm run build`);
  return new SupervisedEngine(
    {
      modelPath,
      contextSize: CONTEXT,
      sequences: 4,
      // Room for about ten conversations of 200 tokens, 23 kB each token.
      promptCacheMiB: 48,
      log: () => undefined,
      ...options,
    },
    CHILD,
    { heartbeatMs: 500, missedHeartbeats: 6, missedHeartbeatsWhileLoading: 200, firstBackoffMs: 50 },
  );
}

export async function answerOf(
  engine: SupervisedEngine,
  generate: GenerateRequest,
  signal: AbortSignal = never,
): Promise<Answer> {
  const pieces: string[] = [];
  const events: GenerateEvent[] = [];
  let end: Extract<GenerateEvent, { type: 'end' }> | undefined;
  for await (const event of engine.generate(generate, signal)) {
    events.push(event);
    if (event.type === 'text') pieces.push(event.text);
    if (event.type === 'end') end = event;
  }
  return { events, text: pieces.join(''), pieces, finishReason: end!.finishReason, usage: end!.usage };
}

/** One engine for all tests of a file or of a group, and ways to ask it. */
export function useModelEngine(modelPath?: string, options?: Partial<LocalEngineOptions>) {
  const engine = modelEngine(modelPath, options);
  jest.setTimeout(180_000);
  beforeAll(() => engine.start());
  afterAll(() => engine.stop());
  return {
    engine,
    answer: (generate: GenerateRequest, signal?: AbortSignal) => answerOf(engine, generate, signal),
  };
}

export function request(prompt: string, options: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    id: 'test',
    input: { messages: [{ role: 'user', content: prompt }] },
    maxTokens: 24,
    temperature: 0,
    topP: 1,
    stop: [],
    frequencyPenalty: 0,
    presencePenalty: 0,
    ...options,
  };
}

/** A prompt of about that many tokens that no other shares the beginning of. */
export function longPrompt(tokens: number): string {
  salt++;
  return Array.from({ length: tokens / 3 }, (_, i) => ` w${10 + ((i * 7 + salt * 131) % 89)}`).join('');
}
let salt = 0;

/** Resolves, to the milliseconds that it took, when the condition holds. */
export async function until(condition: () => boolean, ms = PATIENCE_MS): Promise<number> {
  const started = performance.now();
  while (!condition()) {
    if (performance.now() - started > ms) throw new Error(`not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - started;
}
