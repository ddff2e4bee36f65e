import { StepPlanner, type LaneDemand, type Step } from '../../../runtime/src/engine/step-planner';

const reading = (sequence: number, promptTokensLeft: number): LaneDemand => ({
  request: sequence,
  sequence,
  promptTokensLeft,
});
const decoding = (sequence: number): LaneDemand => reading(sequence, 0);
const tokens = (step: Step): number => [...step.shares.values()].reduce((a, b) => a + b, 0);

/** A machine that takes `msPerToken` to read and `decodeMs` for a step of decoding. */
class Machine {
  now = 0;
  readonly lanes: { sequence: number; left: number; lastToken: number; worstGap: number; tokens: number }[] =
    [];

  constructor(
    readonly planner: StepPlanner,
    readonly msPerToken: (slice: number) => number,
    readonly decodeMs: number,
  ) {}

  add(sequence: number, left: number): void {
    this.lanes.push({ sequence, left, lastToken: this.now, worstGap: 0, tokens: 0 });
  }

  step(): Step {
    const demands = this.lanes.map(({ sequence, left }) => reading(sequence, left));
    const othersDecode = this.lanes.some(({ left }) => left === 0);
    const step = this.planner.plan(demands);
    const elapsed = step.kind === 'decode' ? this.decodeMs : this.msPerToken(tokens(step)) * tokens(step);
    this.now += elapsed;
    for (const [sequence, share] of step.shares) {
      const lane = this.lanes.find((candidate) => candidate.sequence === sequence)!;
      const first = lane.left > 0;
      lane.left = Math.max(0, lane.left - share);
      if (lane.left > 0) continue;
      if (!first) lane.worstGap = Math.max(lane.worstGap, this.now - lane.lastToken);
      lane.lastToken = this.now;
      lane.tokens++;
    }
    this.planner.record(step, elapsed, othersDecode);
    return step;
  }
}

describe('StepPlanner', () => {
  it('gives everybody who decodes one token a step', () => {
    const planner = new StepPlanner({ batchSize: 256 });
    const step = planner.plan([decoding(0), decoding(1), decoding(2)]);
    expect(step.kind).toBe('decode');
    expect([...step.shares]).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
  });

  it('never puts more than the batch size into a step', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 128 }), () => 0.01, 1);
    machine.add(0, 5000);
    for (let i = 0; i < 20; i++) expect(tokens(machine.step())).toBeLessThanOrEqual(128);
  });

  it('reads in whole batches when the machine is fast and nobody decodes', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256 }), () => 1, 6);
    machine.add(0, 2000);
    for (let i = 0; i < 5; i++) machine.step();
    expect(tokens(machine.step())).toBe(256);
  });

  it('keeps steps near the longest allowed on a slow machine, so that a newcomer is not kept waiting', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256, idleStepMs: 500 }), () => 3, 25);
    machine.add(0, 3000);
    for (let i = 0; i < 4; i++) machine.step();
    const before = machine.now;
    machine.step();
    expect(machine.now - before).toBeLessThanOrEqual(510);
    expect(machine.now - before).toBeGreaterThan(200);
  });

  it('reads slices of 128 tokens on a very slow machine when nobody decodes: smaller ones take much longer', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256, idleStepMs: 500 }), () => 12, 60);
    machine.add(0, 3000);
    const slices = Array.from({ length: 4 }, () => tokens(machine.step()));
    // The first is small: who comes at the same moment is read together with it.
    expect(slices).toEqual([16, 128, 128, 128]);
  });

  it('keeps the gaps of a running answer within the budget while a long prompt is read', () => {
    // Small slices cost more a token, as they do in llama.cpp.
    const machine = new Machine(
      new StepPlanner({ batchSize: 256, gapMs: 150 }),
      (n) => 0.9 * (1 + 16 / n),
      6,
    );
    machine.add(0, 40);
    for (let i = 0; i < 20; i++) machine.step();
    machine.add(1, 900);
    while (machine.lanes[1]!.left > 0) machine.step();
    expect(machine.lanes[0]!.worstGap).toBeLessThanOrEqual(165);
    expect(machine.lanes[0]!.worstGap).toBeGreaterThan(75);
  });

  it('gives those who decode a quarter of the time while a prompt is read', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256, gapMs: 150 }), () => 1, 6);
    machine.add(0, 40);
    for (let i = 0; i < 20; i++) machine.step();
    const before = { tokens: machine.lanes[0]!.tokens, now: machine.now };
    machine.add(1, 2000);
    while (machine.lanes[1]!.left > 0) machine.step();
    const share = ((machine.lanes[0]!.tokens - before.tokens) * 6) / (machine.now - before.now);
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.35);
  });

  it('lets answers go on after each slice, also when a step of theirs took long once', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256 }), () => 9, 50);
    machine.add(0, 40);
    for (let i = 0; i < 5; i++) machine.step();
    machine.planner.record({ kind: 'decode', shares: new Map([[0, 1]]) }, 400, false);
    machine.add(1, 900);
    while (machine.lanes[1]!.left > 0) machine.step();
    machine.step();
    expect(machine.lanes[0]!.worstGap).toBeLessThan(300);
  });

  it('reads at least 8 tokens a slice: smaller ones would take several times as long', () => {
    const machine = new Machine(new StepPlanner({ batchSize: 256, gapMs: 150 }), () => 12, 60);
    machine.add(0, 40);
    for (let i = 0; i < 10; i++) machine.step();
    machine.add(1, 400);
    const slices: number[] = [];
    while (machine.lanes[1]!.left > 0) {
      const step = machine.step();
      if (step.kind === 'prefill') slices.push(tokens(step));
    }
    expect(Math.min(...slices.slice(0, -1))).toBe(8);
  });

  describe('of several prompts', () => {
    /** Which sequences each slice was of, until all prompts are read. */
    const slices = (machine: Machine): number[][] => {
      const seen: number[][] = [];
      while (machine.lanes.some(({ left }) => left > 0)) {
        const step = machine.step();
        if (step.kind === 'prefill') seen.push([...step.shares.keys()]);
      }
      return seen;
    };
    const machineOf = (msPerToken: number, prompts: readonly number[]) => {
      const machine = new Machine(new StepPlanner({ batchSize: 128 }), () => msPerToken, 6);
      machine.add(9, 16);
      machine.step();
      machine.lanes.length = 0;
      prompts.forEach((left, sequence) => machine.add(sequence, left));
      return machine;
    };

    const machineWith = (...prompts: readonly number[]) => machineOf(1, prompts);

    describe('on a machine that slows down beside answers', () => {
      const SLOW = 12;

      it('reads those that are alike one after the other, and answers them from the same step on', () => {
        const machine = machineOf(SLOW, [250, 240, 230]);
        const order = slices(machine);
        expect(order).toEqual([[2], [2], [1], [1], [0], [0], [0, 1, 2]]);
        expect(machine.lanes.map(({ tokens: answered }) => answered)).toEqual([1, 1, 1]);
      });

      it('reads those together that come at the same moment, though the first was there alone', () => {
        const machine = machineOf(SLOW, [40]);
        expect(machine.step().shares).toEqual(new Map([[0, 16]]));
        machine.add(1, 40);
        machine.add(2, 42);
        expect(slices(machine)).toEqual([[0], [1], [2], [0, 1, 2]]);
        expect(machine.lanes.map(({ tokens: answered }) => answered)).toEqual([1, 1, 1]);
      });

      it('reads a short one at once that comes alone', () => {
        expect(machineOf(SLOW, [31]).step().shares).toEqual(new Map([[0, 31]]));
      });

      it('holds back no short one for a long one', () => {
        const machine = machineOf(SLOW, [3000, 20]);
        expect(machine.step().shares).toEqual(new Map([[1, 20]]));
        expect(machine.lanes[1]!.tokens).toBe(1);
      });

      it('reads one that comes late at once where that is soon done', () => {
        const machine = machineOf(SLOW, [900, 900, 900]);
        machine.step();
        machine.add(3, 100);
        expect(machine.step().shares).toEqual(new Map([[3, 100]]));
        machine.lanes.length = 3;
        machine.add(4, 2000);
        expect([...machine.step().shares.keys()]).toEqual([0]);
      });

      it('comes to an end with them, however many come late whose answers are short', () => {
        const machine = machineOf(SLOW, [900, 900]);
        const isEarly = ({ sequence }: { sequence: number }): boolean => sequence < 2;
        let steps = 0;
        for (; machine.lanes.some(isEarly) && steps < 200; steps++) {
          // Each ends with its first token, and the next is there.
          if (machine.lanes.every(isEarly)) machine.add(2 + steps, 20);
          machine.step();
          for (const { sequence } of machine.lanes.filter(({ left }) => left === 0))
            machine.lanes.splice(
              machine.lanes.findIndex((lane) => lane.sequence === sequence),
              1,
            );
        }
        expect(machine.lanes.filter(isEarly)).toEqual([]);
        // 128 tokens of theirs with every other slice.
        expect(steps).toBeLessThan(40);
      });

      it('reads them side by side beside answers, in equal shares that fill whole groups', () => {
        const machine = machineOf(SLOW, [0, 250, 250, 250]);
        const ofSlices: [number, number][] = [];
        while (ofSlices.length < 6) {
          const step = machine.step();
          if (step.kind === 'prefill') ofSlices.push([step.shares.size, [...step.shares.values()][0]!]);
        }
        // Sixteen tokens of two, and not fifteen of three.
        expect(ofSlices).toEqual(Array.from({ length: 6 }, () => [2, 8]));
        // The one in the middle goes along with either of its neighbours, which have their turns.
        expect(machine.lanes.slice(1).map((lane) => 250 - lane.left)).toEqual([24, 48, 24]);
      });

      it('reads those together that are neighbours: with a gap between them llama.cpp would evaluate each by itself', () => {
        const planner = new StepPlanner({ batchSize: 128 });
        planner.record({ kind: 'decode', shares: new Map([[1, 1]]) }, 50, false);
        planner.record({ kind: 'prefill', shares: new Map([[0, 16]]) }, 150, false);
        const lanes = [0, 2, 3].map((sequence) => reading(sequence, 200 + sequence));
        const turns = [1, 2, 3].map(() => [...planner.plan([...lanes, decoding(1)]).shares.keys()]);
        expect(turns).toEqual([[0], [2, 3], [2, 3]]);
      });

      it('gives each its turn when a slice has fewer tokens than there are prompts, short ones first', () => {
        const planner = new StepPlanner({ batchSize: 128 });
        planner.record({ kind: 'decode', shares: new Map([[20, 1]]) }, 100, false);
        planner.record({ kind: 'prefill', shares: new Map([[0, 16]]) }, 800, false);
        const lanes = Array.from({ length: 10 }, (_, i) => ({
          request: i,
          sequence: i,
          promptTokensLeft: i === 0 ? 3000 : 1000 - i,
        }));
        const before = lanes.map((lane) => lane.promptTokensLeft);
        const answering = { request: 20, sequence: 20, promptTokensLeft: 0 };
        const turns = Array.from({ length: 10 }, () => {
          const { shares } = planner.plan([...lanes, answering]);
          for (const [sequence, share] of shares) lanes[sequence]!.promptTokensLeft -= share;
          return [...shares.keys()];
        });
        expect(turns[0]).toContain(9);
        const read = lanes.map(({ promptTokensLeft }, i) => before[i]! - promptTokensLeft);
        // Ten slices of eight tokens, so eight for each if none went along with its neighbour.
        expect(Math.min(...read)).toBeGreaterThanOrEqual(4);
      });
    });

    it('reads one after the other when they are alike, the oldest first', () => {
      const order = slices(machineWith(250, 250, 250)).map((slice) => slice[0]);
      expect(order).toEqual([...order].sort());
      expect(new Set(order).size).toBe(3);
    });

    it('reads a short one that comes late at once, and the long one in turn', () => {
      const machine = machineWith(3000);
      for (let i = 0; i < 5; i++) machine.step();
      machine.add(1, 300);
      machine.lanes[0]!.left = 3000;
      const order = slices(machine).map((slice) => slice[0]);
      expect(order.slice(0, 6)).toEqual([1, 0, 1, 0, 1, 0]);
    });

    it('gives the oldest half of the slices, however many short ones come', () => {
      const machine = machineWith(3000, 100);
      let ofOldest = 0;
      for (let i = 0; i < 20; i++) {
        if (machine.step().shares.has(0)) ofOldest++;
        machine.lanes[1]!.left = 100;
      }
      expect(ofOldest).toBe(10);
    });

    it('knows the oldest by its number, wherever it stands: one that was moved, or held back, stands last', () => {
      const planner = new StepPlanner({ batchSize: 128 });
      planner.record({ kind: 'prefill', shares: new Map([[0, 128]]) }, 128, false);
      const lanes = [
        { request: 2, sequence: 0, promptTokensLeft: 300 },
        { request: 1, sequence: 1, promptTokensLeft: 3000 },
      ];
      const order = [1, 2, 3, 4].map(() => [...planner.plan(lanes).shares.keys()][0]);
      expect(order).toEqual([0, 1, 0, 1]);
    });

    it('takes along those that end within what is left of a slice', () => {
      expect(slices(machineWith(60, 20, 40))).toEqual([[1, 2, 0]]);
      expect(slices(machineWith(100, 20, 40))[0]).toEqual([1, 2]);
    });
  });

  it('learns that the machine became slower', () => {
    let msPerToken = 1;
    const machine = new Machine(new StepPlanner({ batchSize: 256, gapMs: 150 }), () => msPerToken, 6);
    machine.add(0, 40);
    for (let i = 0; i < 5; i++) machine.step();
    machine.add(1, 5000);
    for (let i = 0; i < 40; i++) machine.step();
    msPerToken = 3;
    for (let i = 0; i < 40; i++) machine.step();
    machine.lanes[0]!.worstGap = 0;
    for (let i = 0; i < 40; i++) machine.step();
    expect(machine.lanes[0]!.worstGap).toBeLessThan(180);
  });
});
