import { SamplerGarbage } from '../../../runtime/src/engine/sampler-garbage';

describe('SamplerGarbage', () => {
  /** 0.6 MB a sampler. */
  const VOCABULARY = 49_152;

  it('collects once enough can be freed, not at each sampler', () => {
    let collections = 0;
    const garbage = new SamplerGarbage(VOCABULARY, () => collections++);
    for (let i = 0; i < 20; i++) garbage.made(1);
    expect(collections).toBe(0);
    for (let i = 0; i < 200; i++) garbage.made(1);
    expect(collections).toBe(7);
  });

  it('collects when idle, if it is worth it', () => {
    let collections = 0;
    const garbage = new SamplerGarbage(VOCABULARY, () => collections++);
    garbage.made(2);
    garbage.idle();
    expect(collections).toBe(0);
    garbage.made(8);
    garbage.idle();
    garbage.idle();
    expect(collections).toBe(1);
  });

  it('collects sooner for a larger vocabulary', () => {
    let collections = 0;
    const garbage = new SamplerGarbage(128_256, () => collections++);
    for (let i = 0; i < 11; i++) garbage.made(1);
    expect(collections).toBe(1);
  });
});
