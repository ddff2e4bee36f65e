import {
  expectedDecode,
  findInstanceType,
  GPU_INSTANCE_TYPES,
  INSTANCE_TYPES,
  monthlyUsd,
} from '../../stacks/catalogue';
import { memoryMaxMiB } from '../../stacks/sizing';

describe('the catalogue', () => {
  it('leaves at least 640 MiB of every machine to the system', () => {
    for (const instance of INSTANCE_TYPES) {
      expect(instance.memoryMiB - memoryMaxMiB(instance)).toBeGreaterThanOrEqual(640);
    }
  });

  it('has each machine once, the cheapest first, and marks the burstable ones', () => {
    const names = INSTANCE_TYPES.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const prices = INSTANCE_TYPES.map(({ usdPerHour }) => usdPerHour);
    expect(prices).toEqual([...prices].sort((a, b) => a - b));
    expect(INSTANCE_TYPES.filter(({ burstable }) => burstable).map(({ name }) => name)).toEqual([
      't4g.medium',
      't3.medium',
    ]);
  });

  it('knows Graviton by the g of its family', () => {
    for (const { name, architecture } of INSTANCE_TYPES) {
      expect(architecture).toBe(/^[a-z]\d+g\./.test(name) ? 'arm64' : 'x64');
    }
  });

  it('knows machines with a GPU, and keeps them apart', () => {
    const names = INSTANCE_TYPES.map(({ name }) => name);
    for (const { name } of GPU_INSTANCE_TYPES) expect(names).not.toContain(name);
  });

  it('counts 730 hours in a month', () => {
    expect(monthlyUsd(findInstanceType('c7a.large')!)).toBeCloseTo(74.93, 2);
  });

  it('expects decoding to go with the size of the model, and nothing where nothing was published', () => {
    const c7a = findInstanceType('c7a.large')!;
    expect(expectedDecode(c7a, 1.5e9)).toBe(17);
    expect(expectedDecode(c7a, 0.75e9)).toBe(34);
    expect(expectedDecode(c7a, 98e6)).toBe(90);
    expect(expectedDecode(findInstanceType('m7i.large')!, 1.5e9)).toBeUndefined();
  });
});
