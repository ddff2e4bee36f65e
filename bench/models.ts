import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { BOT } from './bot-service.js';
import { writeRandomModel } from './gguf-model.js';
import { CACHE, REPOSITORY, makeFolder, run } from './workspace.js';

export type ModelName = '135m' | '1b';

/** For tables. */
export const MODEL_TITLES: Readonly<Record<ModelName, string>> = {
  '135m': 'SmolLM2-135M-Instruct, Q4_1',
  '1b': 'the shape of Llama-3.2-1B, random weights, Q4_0',
};

/** Returns the model's path; fetches SmolLM2 with our own model store, and makes the 1B model, once each. */
export async function provideModel(name: ModelName, log: (line: string) => void): Promise<string> {
  const smollm2 = await pullSmolLM2();
  if (name === '135m') return smollm2;
  const path = join(makeFolder(join(CACHE, 'models')), 'random-1b.Q4_0.gguf');
  if (!existsSync(path)) {
    log('writing a model with the shape of Llama-3.2-1B and random weights (once, about 600 MB)');
    writeRandomModel(path, smollm2);
  }
  return path;
}

async function pullSmolLM2(): Promise<string> {
  const lockFile = join(REPOSITORY, 'runtime', 'models.lock.json');
  const sources = Object.keys(JSON.parse(readFileSync(lockFile, 'utf8')) as Record<string, unknown>);
  const source = sources.find((candidate) => candidate.includes('SmolLM2-135M-Instruct.Q4_1'));
  if (!source) throw new Error(`${lockFile} names no SmolLM2-135M-Instruct.Q4_1`);
  const printed = await run(process.execPath, [BOT, 'model', 'pull', source, '--json', '--lock', lockFile]);
  return (JSON.parse(printed) as { path: string }).path;
}
