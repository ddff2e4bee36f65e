#!/usr/bin/env node
// @ts-check
/**
 * The chat service on this machine, with one command:  npm run up [-- --model SOURCE] [-- --port NUMBER]
 *
 * Installs what is missing, then is `bot up` in this same process: one program less between a Ctrl-C and its drain.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { SetupError } from './lib/say.mjs';
import { setUp } from './setup.mjs';

const BOT = join(dirname(fileURLToPath(import.meta.url)), '..', 'runtime', 'dist', 'cli', 'bot.js');

const interrupt = () => process.exit(130);
try {
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  await setUp('run');
  // From here on a signal means: drain. `bot up` says how.
  process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
  process.argv = [process.execPath, BOT, 'up', ...process.argv.slice(2)];
  await import(pathToFileURL(BOT).href);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`setup: ${error.message}\n`);
  process.exitCode = 1;
}
