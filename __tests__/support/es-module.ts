import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { REPOSITORY } from './test-model';

/**
 * Runs a piece of code that imports the set-up's own ES modules (`scripts/…`), which Jest's CommonJS cannot load.
 *
 * @param code may use `await`; `scripts` holds the folder's URL
 * @returns what it printed, and how it ended
 */
export function runEsModule(code: string, env: NodeJS.ProcessEnv = process.env) {
  const prelude = `const scripts = ${JSON.stringify(`file://${join(REPOSITORY, 'scripts')}/`)};\n`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', prelude + code], {
    encoding: 'utf8',
    env,
  });
}
