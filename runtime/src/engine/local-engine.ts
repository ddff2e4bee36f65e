import { fileURLToPath } from 'node:url';
import { estimateModels, type Estimate } from './estimate-models.js';
import { resolveModelSettings, type LocalEngineOptions } from './options.js';
import { SupervisedEngine } from './supervised-engine.js';

export type { LocalEngineOptions } from './options.js';

/**
 * The engine that answers with a GGUF model on this machine's processor, in a child process of its own.
 *
 * Only the compiled program can import this file (`import.meta`); tests make a `SupervisedEngine` themselves.
 */
export function createLocalEngine(options: LocalEngineOptions): SupervisedEngine {
  return new SupervisedEngine(options, beside('child.js'));
}

/** What each of these engines would take. */
export function estimateLocal(
  models: readonly Omit<LocalEngineOptions, 'log'>[],
): Promise<readonly Estimate[]> {
  return estimateModels(models.map(resolveModelSettings), beside('estimate-child.js'));
}

function beside(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
