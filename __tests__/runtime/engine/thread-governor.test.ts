import { ThreadGovernor } from '../../../runtime/src/engine/thread-governor';

/** A machine with some processors, of which other programs want a part. */
class Machine {
  now = 0;
  cpu = 0;
  idle = 0;
  othersWant = 0;
  readonly settings: number[] = [];
  readonly governor: ThreadGovernor;

  constructor(readonly processors = 2) {
    this.governor = new ThreadGovernor({
      most: processors,
      setThreads: (threads) => this.settings.push(threads),
      now: () => this.now,
      cpuMs: () => this.cpu,
      idleMs: () => this.idle,
    });
  }

  /** A fair scheduler: who wants more than there is gets a part. */
  pass(ms: number, threads: number): void {
    const wanted = threads + this.othersWant;
    const part = Math.min(1, this.processors / wanted);
    this.now += ms;
    this.cpu += ms * threads * part;
    this.idle += ms * Math.max(0, this.processors - wanted);
  }

  steps(count: number, ms = 20): void {
    for (let i = 0; i < count; i++) {
      this.governor.stepBegins();
      this.pass(ms, this.governor.threads);
      this.governor.stepEnds();
    }
  }
}

describe('ThreadGovernor', () => {
  it('keeps all threads while the machine is ours', () => {
    const machine = new Machine();
    machine.steps(200);
    expect(machine.governor.threads).toBe(2);
    expect(machine.settings).toEqual([]);
  });

  it('keeps its threads through something short', () => {
    const machine = new Machine();
    for (let i = 0; i < 20; i++) {
      machine.othersWant = 3;
      machine.steps(4);
      machine.othersWant = 0;
      machine.steps(20);
    }
    expect(machine.settings).toEqual([]);
  });

  it('lets a thread go soon after others begin to compete', () => {
    const machine = new Machine();
    machine.steps(20);
    machine.othersWant = 2;
    machine.steps(16);
    expect(machine.governor.threads).toBe(1);
  });

  it('lets a thread go after one step that took as long as many', () => {
    const machine = new Machine();
    machine.steps(20);
    machine.othersWant = 2;
    machine.steps(1, 2000);
    expect(machine.governor.threads).toBe(1);
  });

  it('keeps its threads beside a program that needs a little', () => {
    const machine = new Machine();
    machine.othersWant = 0.3;
    machine.steps(500);
    expect(machine.governor.threads).toBe(2);
  });

  it('takes the thread back when a processor is idle again', () => {
    const machine = new Machine();
    machine.othersWant = 2;
    machine.steps(50);
    expect(machine.governor.threads).toBe(1);
    machine.othersWant = 0;
    machine.steps(20);
    expect(machine.governor.threads).toBe(2);
  });

  it('does not swing to and fro while others keep every processor busy', () => {
    const machine = new Machine();
    machine.othersWant = 4;
    machine.steps(3000); // one minute
    expect(machine.governor.threads).toBe(1);
    expect(machine.settings.length).toBeLessThan(16);
  });

  it('uses all threads on a busy machine when it has precedence there', () => {
    const machine = new Machine();
    machine.othersWant = 4;
    machine.steps(20);
    expect(machine.governor.threads).toBe(1);
    machine.othersWant = 0;
    for (let i = 0; i < 1000; i++) {
      machine.governor.stepBegins();
      machine.now += 20;
      machine.cpu += 20 * machine.governor.threads; // all it asks for; nothing is left idle by the others
      machine.governor.stepEnds();
    }
    expect(machine.governor.threads).toBe(2);
    expect(machine.settings).toEqual([1, 2]);
  });

  it('asks less and less often when idle time is shown that it may not use (a container with a quota)', () => {
    const machine = new Machine();
    const quota = (): void => {
      machine.governor.stepBegins();
      const threads = machine.governor.threads;
      machine.now += 20;
      machine.cpu += 20 * Math.min(1, threads);
      machine.idle += 20 * machine.processors;
      machine.governor.stepEnds();
    };
    for (let i = 0; i < 3000; i++) quota(); // one minute
    expect(machine.settings.length).toBeLessThan(40);
  });

  it('goes down step by step on a machine with more processors', () => {
    const machine = new Machine(4);
    machine.othersWant = 4;
    machine.steps(100);
    expect(machine.governor.threads).toBeGreaterThanOrEqual(1);
    expect(machine.governor.threads).toBeLessThan(4);
  });

  it('uses all threads where idle time is not known', () => {
    const governor = new ThreadGovernor({ most: 2, setThreads: () => undefined, idleMs: () => undefined });
    expect(governor.threads).toBe(2);
  });

  it('reads prompts with all threads where answers are written faster with one', () => {
    const machine = new Machine();
    let inUse = 2;
    const governor = new ThreadGovernor({
      most: 2,
      setThreads: (threads) => (inUse = threads),
      now: () => machine.now,
      cpuMs: () => machine.cpu,
      idleMs: () => machine.idle,
    });
    const step = (decoding: number): number => {
      governor.stepBegins(decoding);
      machine.pass(decoding > 0 && inUse === 2 ? 24 : 12, inUse);
      governor.stepEnds();
      return inUse;
    };
    for (let i = 0; i < 60; i++) step(1);
    expect([step(1), step(0), step(1)]).toEqual([1, 2, 1]);
    expect(governor.threads).toBe(2);
  });
});
