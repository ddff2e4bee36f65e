/** The model files that a configuration names: are they whole models, as far as their headers and sizes tell? */
import { ConfigError } from '../config/load.js';
import { modelsOf } from '../config/models.js';
import type { BotConfig } from '../config/schema.js';
import { messageOf } from '../errors/message-of.js';

/** Loads none. @throws ConfigError with a problem for each that cannot be served */
export async function checkModelFiles(file: string, config: BotConfig): Promise<void> {
  const problems: string[] = [];
  for (const { key, path } of modelsOf(config)) {
    if (path === undefined) continue;
    // Only where there is a file: what reads headers brings llama.cpp's module along.
    const { readModelFile } = await import('../engine/model-file.js');
    await readModelFile(path).catch((error: unknown) => {
      problems.push(`\`${key}model_path\`: ${messageOf(error).replace(/^model_path: /, '')}`);
    });
  }
  if (problems.length > 0) throw new ConfigError(file, problems);
}
