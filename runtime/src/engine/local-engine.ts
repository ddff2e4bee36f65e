import { fileURLToPath } from 'node:url';
import type { Engine } from './engine.js';
import type { LocalEngineOptions } from './options.js';
import { SupervisedEngine } from './supervised-engine.js';

export type { LocalEngineOptions } from './options.js';

/**
 * The engine that answers with a GGUF model on this machine's processor, in a child process of its own.
 *
 * Only the compiled program can import this file (`import.meta`); tests make a `SupervisedEngine` themselves.
 */
export function createLocalEngine(options: LocalEngineOptions): Engine {
  return new SupervisedEngine(options, fileURLToPath(new URL('./child.js', import.meta.url)));
}
