import { DecodeThreads } from '../../../runtime/src/engine/decode-threads';
import { IdleMeter } from '../../../runtime/src/engine/idle-meter';

/** A machine on which a step takes what its test says. */
class Machine {
  now = 0;
  idle = 0;
  othersWant = 0;
  /** Threads of each step. */
  readonly used: number[] = [];
  readonly decode: DecodeThreads;

  constructor(
    readonly most: number,
    public stepMs: (threads: number, sequences: number) => number,
  ) {
    const now = () => this.now;
    this.decode = new DecodeThreads({ most, now, idle: new IdleMeter(now, () => this.idle) });
  }

  steps(count: number, sequences = 1, allowed = this.most): number[] {
    const first = this.used.length;
    for (let i = 0; i < count; i++) {
      const threads = this.decode.choose(sequences, allowed);
      const took = this.stepMs(threads, sequences);
      this.now += took;
      this.idle += took * Math.max(0, this.most - threads - this.othersWant);
      this.used.push(threads);
      this.decode.record(sequences, threads, took);
    }
    return this.used.slice(first);
  }
}

const share = (used: readonly number[], threads: number) =>
  used.filter((count) => count === threads).length / used.length;

it('keeps all threads where they help, and hardly ever asks', () => {
  const machine = new Machine(2, (threads) => 20 / threads);
  const used = machine.steps(12_000); // two minutes
  expect(share(used, 1)).toBeLessThan(0.005);
  expect(used.at(-1)).toBe(2);
});

it('goes to one thread within half a second where two are slower', () => {
  const machine = new Machine(2, (threads) => (threads === 2 ? 22 : 12));
  machine.steps(20);
  expect(share(machine.steps(5000), 1)).toBeGreaterThan(0.98);
});

it('tries no other number in steps that may not take longer', () => {
  const machine = new Machine(2, (threads) => 20 / threads);
  const tried = (mayTry: boolean): boolean => {
    let hasTried = false;
    for (let at = 0; at < 1000; at++) {
      const threads = machine.decode.choose(1, 2, mayTry);
      hasTried ||= threads !== 2;
      machine.now += 10;
      machine.decode.record(1, threads, 10);
    }
    return hasTried;
  };
  expect(tried(false)).toBe(false);
  expect(tried(true)).toBe(true);
});

it('finds out for each number of sequences', () => {
  const machine = new Machine(2, (threads, sequences) =>
    threads === 2 ? 15 + 3 * sequences : 8 + 6 * sequences,
  );
  for (let i = 0; i < 50; i++) {
    machine.steps(20, 1);
    machine.steps(20, 4);
  }
  expect(share(machine.steps(100, 1), 1)).toBeGreaterThan(0.9);
  expect(share(machine.steps(100, 4), 2)).toBeGreaterThan(0.9);
});

it('comes back soon when the machine is calm again, and leaves soon when it no longer is', () => {
  const noisy = (threads: number) => (threads === 2 ? 24 : 12);
  const calm = (threads: number) => (threads === 2 ? 7 : 12);
  const machine = new Machine(2, calm);
  machine.steps(5000);
  machine.stepMs = noisy;
  machine.steps(100);
  expect(machine.steps(1)).toEqual([1]);
  machine.stepMs = calm;
  // Nothing tells it that two would be faster now: it waits for the next trial.
  machine.steps(Math.ceil(33_000 / 12));
  expect(share(machine.steps(100), 2)).toBeGreaterThan(0.9);
});

it('does not follow steps that differ by chance', () => {
  let state = 1;
  const machine = new Machine(2, (threads) => {
    state = (state * 48271) % 0x7fffffff;
    return (threads === 2 ? 10 : 10.3) * (0.8 + (0.4 * state) / 0x7fffffff);
  });
  const used = machine.steps(20_000);
  const changes = used.filter((threads, index) => index > 0 && threads !== used[index - 1]).length;
  expect(changes).toBeLessThan(60);
});

it('uses no more than it may, and tries nothing then', () => {
  const machine = new Machine(4, (threads) => 40 / threads);
  expect(new Set(machine.steps(500, 1, 2))).toEqual(new Set([2]));
});

it('finds the best number among several', () => {
  const machine = new Machine(8, (threads) => [0, 40, 22, 14, 12, 14, 16, 20, 30][threads]!);
  machine.steps(2000);
  expect(share(machine.steps(2000), 4)).toBeGreaterThan(0.95);
});

it.each([1000, 34])('ends a trial with the first step that is far too slow: %d ms for 20', (tried) => {
  const machine = new Machine(2, (threads) => (threads === 2 ? 20 : tried));
  const used = machine.steps(12_000); // four minutes
  expect(used.filter((threads) => threads === 1).length).toBeLessThan(14);
  expect(used.some((threads, index) => threads === 1 && used[index + 1] === 1)).toBe(false);
});

it('tries no more threads while nothing is idle, and soon when something is', () => {
  const machine = new Machine(2, (threads) => (threads === 2 ? 30 : 12));
  machine.steps(60);
  machine.othersWant = 1;
  machine.stepMs = (threads) => (threads === 2 ? 2000 : 12);
  expect(share(machine.steps(10_000), 2)).toBe(0);
  machine.othersWant = 0;
  machine.stepMs = (threads) => (threads === 2 ? 7 : 12);
  machine.steps(Math.ceil(3000 / 12));
  expect(share(machine.steps(100), 2)).toBeGreaterThan(0.9);
});

it('has nothing to try with one thread', () => {
  expect(new Set(new Machine(1, () => 10).steps(100))).toEqual(new Set([1]));
});

it('compares nothing across a pause', () => {
  const machine = new Machine(2, () => 40);
  machine.steps(7);
  machine.now += 60_000;
  // Eight steps with two threads come first, though seven were known.
  machine.stepMs = (threads) => (threads === 2 ? 10 : 20);
  expect(machine.steps(8)).toEqual(new Array(8).fill(2));
  expect(share(machine.steps(200), 2)).toBeGreaterThan(0.9);
});
