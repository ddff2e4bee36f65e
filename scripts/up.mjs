#!/usr/bin/env node
// @ts-check
/**
 * The chat service on this machine, with one command:
 *
 *   npm run up [-- [--model SOURCE] [--port NUMBER] [--console-port NUMBER]]
 *
 * Installs what is missing, then is `bot up` in this same process: one program less between a Ctrl-C and its drain.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { interruptible } from './lib/interrupt.mjs';
import { reportFailure, setUp } from './setup.mjs';

const BOT = join(dirname(fileURLToPath(import.meta.url)), '..', 'runtime', 'dist', 'cli', 'bot.js');

let isReady = false;
try {
  await interruptible(() => setUp('run'));
  isReady = true;
} catch (error) {
  reportFailure(error);
}
if (isReady) {
  // From here on a signal means: drain. `bot up` says how.
  process.argv = [process.execPath, BOT, 'up', ...process.argv.slice(2)];
  await import(pathToFileURL(BOT).href);
}
