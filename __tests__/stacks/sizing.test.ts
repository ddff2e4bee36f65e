import { concessions } from '../../runtime/src/engine/concessions';
import { resolveModelSettings } from '../../runtime/src/engine/options';
import { findInstanceType } from '../../stacks/catalogue';
import { type Fit, foreseeSequences, type ModelFacts, problemsOfFit } from '../../stacks/sizing';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** A model of so many MiB whose context takes 0.1 MiB for each token of each sequence. */
function modelOf(sizeMiB: number, trainContextSize: number | undefined = 8192): Fit['inspect'] {
  return (contextSize, sequences): ModelFacts => ({
    totalBytes: (sizeMiB + 0.1 * contextSize * sequences) * MIB,
    trainContextSize,
  });
}

function fit(changes: Partial<Fit> & { readonly inspect: Fit['inspect'] }): Fit {
  const { contextSize = 4096, sequences = 4, inspect } = changes;
  return {
    instance: findInstanceType('c7a.large')!,
    contextSize,
    sequences,
    diskGiB: 50,
    modelFileBytes: GIB,
    facts: inspect(contextSize, sequences),
    ...changes,
  };
}

describe('problemsOfFit', () => {
  it('has nothing against a model that fits', () => {
    expect(problemsOfFit(fit({ inspect: modelOf(800) }))).toEqual([]);
  });

  it('refuses a model that cannot fit the memory, and names what would do', () => {
    expect(problemsOfFit(fit({ inspect: modelOf(2500) }))).toEqual([
      'instanceType c7a.large is too small: the model with contextSize 4096 and sequences 4 needs 4395 MiB, ' +
        'and 3456 of its 4096 MiB are free for it. What would do: ' +
        'instanceType m7i.large, m7a.large, m8a.large, c7i.xlarge; or contextSize 1024; or sequences 1',
    ]);
  });

  it('names no context and no number of sequences where none would do', () => {
    const [problem] = problemsOfFit(fit({ inspect: modelOf(6000) }));
    expect(problem).toMatch(
      /What would do: instanceType m7i\.xlarge, m7a\.xlarge, m8a\.xlarge, m7g\.xlarge$/,
    );
  });

  it('asks for a smaller model where no machine of the catalogue would do', () => {
    const [problem] = problemsOfFit(fit({ inspect: modelOf(40_000) }));
    expect(problem).toMatch(/What would do: a smaller model or a stronger quantisation$/);
  });

  it('never recommends a burstable machine', () => {
    const small = fit({ inspect: modelOf(3000), instance: findInstanceType('t3.medium')! });
    expect(problemsOfFit(small).join()).not.toMatch(/would do: .*\bt3/);
  });

  it('accepts what a remedy names', () => {
    const inspect = modelOf(2500);
    expect(problemsOfFit(fit({ inspect, contextSize: 1024 }))).toEqual([]);
    expect(problemsOfFit(fit({ inspect, sequences: 1 }))).toEqual([]);
    expect(problemsOfFit(fit({ inspect, instance: findInstanceType('m7a.large')! }))).toEqual([]);
  });

  it('refuses a context longer than the model was trained for', () => {
    expect(problemsOfFit(fit({ inspect: modelOf(100, 2048) }))).toEqual([
      'contextSize should be at most 2048, the context this model was trained for, got 4096',
    ]);
  });

  it('takes any context where the file does not say what it was trained for', () => {
    const silent = { ...modelOf(100)(4096, 1), trainContextSize: undefined };
    expect(problemsOfFit(fit({ inspect: () => silent, contextSize: 131_072, sequences: 1 }))).toEqual([]);
  });

  it('refuses a disk that cannot hold the model', () => {
    expect(problemsOfFit(fit({ inspect: modelOf(100), diskGiB: 8, modelFileBytes: 2.5 * GIB }))).toEqual([
      'diskGiB should be at least 9 for this model and the system, got 8',
    ]);
  });
});

describe('foreseeSequences', () => {
  const machine = findInstanceType('c7a.large')!;
  /** With the memory of c7a.large as its measure: 3,200 MiB are free for model and context. */
  const foreseen = (sizeMiB: number, given?: number) => {
    const inspect = modelOf(sizeMiB);
    const { facts, ...rest } = foreseeSequences(machine, given, (count) => inspect(1024, count));
    expect(facts).toEqual(inspect(1024, rest.sequences));
    return rest;
  };

  it('foresees eight where the model fits with them, to the last MiB, and four where it does not', () => {
    const atEight = 0.1 * 1024 * 8;
    expect(foreseen(3200 - atEight).sequences).toBe(8);
    expect(foreseen(3201 - atEight).sequences).toBe(4);
    expect(foreseen(1e6).sequences).toBe(4);
  });

  it('says what the service will choose, and of four, why', () => {
    expect(foreseen(100).note).toBe(
      'sequences: 8, as the service chooses itself where c7a.large has the memory',
    );
    expect(foreseen(2478).note).toMatch(/^sequences: 4, as .* with 8 the model needs 3554 MiB/);
    // Within what the service may find free at its start and the synth does not count on.
    expect(foreseen(2475).note).toBe(
      'sequences: 4 or 8, as the service chooses itself: with 8 the model needs 3551 MiB, and 3456 of the 4096 MiB of ' +
        'c7a.large are free for it',
    );
  });

  it('leaves what somebody has set, also where it does not fit, and has nothing to say of it', () => {
    expect(foreseen(100, 2)).toEqual({ sequences: 2 });
    expect(foreseen(1e6, 16)).toEqual({ sequences: 16 });
  });

  it('takes the numbers in which the service gives way, before it gives up anything else', () => {
    const wanted = resolveModelSettings({ modelPath: 'model.gguf', contextSize: 4096 });
    const [first, second] = concessions(wanted);
    expect([foreseen(100).sequences, foreseen(1e6).sequences]).toEqual([first?.sequences, second?.sequences]);
    expect({ ...second, sequences: first?.sequences }).toEqual(first);
  });
});
