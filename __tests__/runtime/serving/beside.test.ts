import { modelsOf } from '../../../runtime/src/config/models';
import type { Estimate } from '../../../runtime/src/engine/estimate-models';
import { SwitchableEngine } from '../../../runtime/src/engine/switchable-engine';
import { planBeside } from '../../../runtime/src/serving/beside';
import { ServedModels } from '../../../runtime/src/serving/served-models';
import { ScriptedEngine } from '../support/scripted-engine';
import { testConfig } from '../support/test-service';

const MIB = 2 ** 20;
const HEADROOM = 128 * MIB;

function plan(needs: readonly number[], others: number, free: number) {
  const [first, ...further] = needs.map((_need, index) => ({ model_path: `/${index}.gguf` }));
  const configs = modelsOf(testConfig({ ...first, models: further }));
  const models = new ServedModels(
    configs.map((config) => ({
      config,
      engine: new SwitchableEngine(Object.assign(new ScriptedEngine(), { pid: undefined })),
    })),
    1,
  );
  const estimates = needs.map((bytes): Estimate =>
    bytes < 0 ? { problem: 'is damaged' } : { bytes, fewer: { sequences: 1, bytes }, leastBytes: bytes },
  );
  return planBeside(models, { estimate: () => Promise.resolve(estimates) }, others, () =>
    Promise.resolve({ bytes: free, source: 'a test' }),
  );
}

test('all models beside the others, which may grow meanwhile', async () => {
  // The others still lack 100 MiB of what they will take.
  const exact = 500 * MIB + HEADROOM + 100 * MIB;
  expect(await plan([300 * MIB, 200 * MIB], 400 * MIB, exact)).toEqual({
    memory: { reservedBytes: HEADROOM + 100 * MIB, returningBytes: 400 * MIB },
    text: '728 MiB needed, 728 MiB free',
  });
  expect((await plan([300 * MIB, 200 * MIB], 400 * MIB, exact - 1)).memory).toBeUndefined();
});

test('not all that they will ever take has to be free at once', async () => {
  const { memory } = await plan([2000 * MIB], 500 * MIB, 2000 * MIB + HEADROOM + 256 * MIB);
  expect(memory).toMatchObject({ reservedBytes: HEADROOM + 256 * MIB });
});

test('a model that cannot be served is named', async () => {
  await expect(plan([300 * MIB, -1], 0, 9000 * MIB)).rejects.toThrow('1: is damaged');
});
