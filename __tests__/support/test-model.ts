/** The real model that *.model.test.ts files and the end-to-end test load. `npm test` fetches it beforehand. */
import { readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

import { defaultCacheDir } from '../../runtime/src/models/cache';
import { DEFAULT_MODEL_SOURCE } from '../../runtime/src/models/source';

export const REPOSITORY = resolve(__dirname, '..', '..');

export interface TestModel {
  /** As stacks/main.ts and `bot up --model` take it. */
  readonly source: string;
  /** Absolute. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** SmolLM2-135M-Instruct Q4_1 from the per-user cache. Throws, naming the remedy, where it is not there. */
export function testModel(): TestModel {
  const lock = JSON.parse(readFileSync(join(REPOSITORY, 'runtime', 'models.lock.json'), 'utf8')) as Record<
    string,
    { sha256: string; size: number }
  >;
  const pin = lock[DEFAULT_MODEL_SOURCE];
  if (!pin) throw new Error(`runtime/models.lock.json does not pin ${DEFAULT_MODEL_SOURCE}`);
  const path = join(defaultCacheDir(), pin.sha256, basename(DEFAULT_MODEL_SOURCE));
  if (statSync(path, { throwIfNoEntry: false })?.size !== pin.size) {
    throw new Error(`the test model is not at ${path}: run node scripts/setup.mjs --for test`);
  }
  return { source: DEFAULT_MODEL_SOURCE, path, sha256: pin.sha256, sizeBytes: pin.size };
}
