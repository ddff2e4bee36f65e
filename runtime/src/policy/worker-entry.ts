import { join } from 'node:path';

/** Only the compiled program can import this file (`import.meta`); tests name the compiled worker themselves. */
export const POLICY_WORKER = join(import.meta.dirname, 'worker.js');
