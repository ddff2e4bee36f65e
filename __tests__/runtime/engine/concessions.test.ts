import {
  concessions,
  describeConcessions,
  withFewerSequences,
} from '../../../runtime/src/engine/concessions';
import { resolveModelSettings } from '../../../runtime/src/engine/options';

const shapes = (options: Partial<Parameters<typeof resolveModelSettings>[0]>) =>
  concessions(resolveModelSettings({ modelPath: '/m.gguf', ...options })).map(
    ({ kvCacheType, sequences, contextSize }) => [kvCacheType, sequences, contextSize],
  );

it('gives up four of eight sequences first, then precision, then sequences and context in turn', () => {
  expect(shapes({})).toEqual([
    ['f16', 8, 4096],
    ['f16', 4, 4096],
    ['q8_0', 4, 4096],
    ['q8_0', 2, 4096],
    ['q8_0', 2, 2048],
    ['q8_0', 1, 2048],
    ['q8_0', 1, 1024],
  ]);
});

it('keeps what somebody has set', () => {
  expect(shapes({ sequences: 8 })).toEqual([
    ['f16', 8, 4096],
    ['q8_0', 8, 4096],
    ['q8_0', 8, 2048],
    ['q8_0', 8, 1024],
  ]);
  expect(shapes({ sequences: 8, kvCacheType: 'f16' })).toEqual([
    ['f16', 8, 4096],
    ['f16', 8, 2048],
    ['f16', 8, 1024],
  ]);
  expect(shapes({ sequences: 1, kvCacheType: 'f16', contextSize: 512 })).toEqual([['f16', 1, 512]]);
});

it('leaves the cache as it is without flash attention, which a smaller one needs', () => {
  expect(shapes({ flashAttention: false, sequences: 2 })).toEqual([
    ['f16', 2, 4096],
    ['f16', 2, 2048],
    ['f16', 2, 1024],
  ]);
});

it('says what was given up by the keys of the configuration', () => {
  const steps = concessions(resolveModelSettings({ modelPath: '/m.gguf' }));
  const said = steps.map((step) => describeConcessions(steps[0]!, step));
  expect(said[0]).toBe('');
  expect(said[1]).toBe('sequences 4');
  expect(said[2]).toBe('kv_cache_type q8_0, sequences 4');
  expect(said.at(-1)).toBe('kv_cache_type q8_0, sequences 1, context_size 1024');
});

it('knows what several models give up first: sequences that nobody has set, and nothing else', () => {
  const fewer = (options: object) => {
    const { sequences, kvCacheType } = withFewerSequences(
      resolveModelSettings({ modelPath: '/m.gguf', ...options }),
    );
    return [sequences, kvCacheType];
  };
  expect(fewer({})).toEqual([4, 'f16']);
  expect(fewer({ sequences: 8 })).toEqual([8, 'f16']);
});
