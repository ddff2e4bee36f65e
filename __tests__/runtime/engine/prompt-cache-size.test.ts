import { promptCacheBytes } from '../../../runtime/src/engine/prompt-cache-size';
import { resolveModelSettings } from '../../../runtime/src/engine/options';

/** Small enough that neither the folder's room nor the largest default bounds it. */
const settings = { ...resolveModelSettings({ modelPath: '/none.gguf' }), promptCacheShare: 0.001 };
const sizeWith = async (memory: { promisedBytes?: number; reservedBytes?: number }) =>
  (await promptCacheBytes(settings, { reservedBytes: 0, returningBytes: 0, ...memory })).bytes;

test.each(['reservedBytes', 'promisedBytes'] as const)(
  'the prompt cache takes its share without %s',
  async (whose) => {
    expect(await sizeWith({})).toBeGreaterThan(0);
    expect(await sizeWith({ [whose]: 2 ** 50 })).toBe(0);
  },
);
