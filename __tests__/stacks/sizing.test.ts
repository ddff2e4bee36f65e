import { findInstanceType } from '../../stacks/catalogue';
import { chooseSequences, type Fit, type ModelFacts, problemsOfFit } from '../../stacks/sizing';

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

describe('chooseSequences', () => {
  const machine = findInstanceType('c7a.large')!;
  /** With the memory of c7a.large as its measure: 3,200 MiB are free for model and context. */
  const chosen = (sizeMiB: number, given?: number) => {
    const inspect = modelOf(sizeMiB);
    const { sequences, facts } = chooseSequences(machine, given, (count) => inspect(1024, count));
    expect(facts).toEqual(inspect(1024, sequences));
    return sequences;
  };

  it('takes eight where the model fits with them, to the last MiB, and four where it does not', () => {
    const atEight = 0.1 * 1024 * 8;
    expect(chosen(3200 - atEight)).toBe(8);
    expect(chosen(3201 - atEight)).toBe(4);
    expect(chosen(1e6)).toBe(4);
  });

  it('leaves what somebody has set, also where it does not fit', () => {
    expect([chosen(100, 2), chosen(1e6, 16)]).toEqual([2, 16]);
  });
});
