/**
 * A process that says what memory models will need, without loading them, and ends. Of its own, because llama.cpp does
 * not belong into the HTTP process.
 */
import { messageOf } from '../errors/message-of.js';
import { concessions, withFewerSequences } from './concessions.js';
import type { Estimate } from './estimate-models.js';
import { ENGINE_BYTES } from './memory.js';
import { estimateMemory, startLlama } from './memory-estimate.js';
import { readModelFile } from './model-file.js';
import type { ModelSettings } from './options.js';

async function estimate(models: readonly ModelSettings[]): Promise<readonly Estimate[]> {
  const llama = await startLlama(1, () => undefined);
  const estimates: Estimate[] = [];
  for (const settings of models) {
    try {
      const file = await readModelFile(settings.modelPath);
      const need = async (shape: ModelSettings) => {
        const { weightsBytes, contextBytes } = await estimateMemory(llama, file, shape);
        return weightsBytes + contextBytes + ENGINE_BYTES;
      };
      const least = concessions(settings).at(-1) ?? settings;
      const fewer = withFewerSequences(settings);
      estimates.push({
        bytes: await need(settings),
        fewer: { sequences: fewer.sequences, bytes: await need(fewer) },
        leastBytes: await need(least),
      });
    } catch (error) {
      estimates.push({ problem: messageOf(error) });
    }
  }
  return estimates;
}

process.once('message', (models: readonly ModelSettings[]) => {
  void estimate(models).then((estimates) => process.send?.(estimates, () => process.exit(0)));
});
process.on('disconnect', () => process.exit(1));
