/** A test service with an access policy, and what its tests ask and read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from '../../support/temporary-folder';
import { ScriptedEngine } from './scripted-engine';
import { startTestService, stopTestServices } from './test-service';

/** Call at the top of a test file. */
export function policyServices() {
  // In this order: a service is stopped before its folder goes.
  stopTestServices();
  const folder = temporaryFolder();
  const writePolicy = (policy: object) =>
    writeFileSync(join(folder(), 'policy.yaml'), JSON.stringify(policy));
  async function start(policy: object, engine = new ScriptedEngine()) {
    writePolicy(policy);
    return startTestService({ engine, stateDirectory: folder() });
  }
  return { start, writePolicy };
}

export const CHAT = '/v1/chat/completions';
export const body = (content: string, extra: object = {}) => ({
  model: 'test-model',
  messages: [{ role: 'user', content }],
  ...extra,
});

export interface Answer {
  choices: { message: { content: string }; finish_reason: string }[];
  warning?: string;
  error?: { code: string; message: string };
}
export const read = async (response: Response) => (await response.json()) as Answer;

export const MASK = { name: 'names', action: 'mask', words: ['ada lovelace', '敏感词'] };
export const BLOCK = { name: 'bad things', action: 'block', words: ['bomb'] };
