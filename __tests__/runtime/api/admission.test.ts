/** What those are told who find the door full, with simulated time: what a client sees is `Retry-After`. */
import { Admission, type Ticket } from '../../../runtime/src/api/admission';
import { ApiError } from '../../../runtime/src/errors/api-error';
import { ScriptedEngine } from '../support/scripted-engine';

const SEQUENCES = 8;
const MAX_QUEUE = 16;
const PLACES = SEQUENCES + MAX_QUEUE;

interface Running {
  readonly ticket: Ticket;
  readonly endsAt: number;
}

/** Whose request it is. */
interface Asker {
  readonly key: string;
  readonly perToken?: number;
  readonly overall?: number;
}

/** A door with its sequences, each of which takes `work` seconds for a request, and the clock that both go by. */
class House {
  now = 0;
  work: number;
  readonly admission: Admission;
  /** Place-seconds in which a sequence had nothing to do. */
  idle = 0;
  #running: Running[] = [];
  #line: Ticket[] = [];

  constructor(work: number, sequences = SEQUENCES) {
    this.work = work;
    const engine = new ScriptedEngine();
    engine.model = { ...engine.model, sequences };
    this.admission = new Admission(engine, MAX_QUEUE, undefined, () => this.now);
  }

  /** Undefined: let in; else what the refusal's Retry-After says. */
  ask(asker?: Asker): number | undefined {
    try {
      const ticket = this.admission.enter(asker && { perToken: Infinity, overall: Infinity, ...asker });
      this.#line.push(ticket);
      this.#start();
      return undefined;
    } catch (error) {
      return Number((error as ApiError).headers?.['Retry-After']);
    }
  }

  askTimes(count: number, asker?: (index: number) => Asker): number[] {
    return Array.from({ length: count }, (_, index) => this.ask(asker?.(index))).filter(
      (told) => told !== undefined,
    );
  }

  /** Lets time pass. */
  until(time: number): void {
    for (;;) {
      const next = this.#running.reduce(
        (first, one) => (one.endsAt < first ? one.endsAt : first),
        Number.POSITIVE_INFINITY,
      );
      const at = Math.min(time, next);
      this.idle += (at - this.now) * (this.#capacity - this.#running.length);
      this.now = at;
      if (next > time) return;
      const ended = this.#running.filter(({ endsAt }) => endsAt <= at);
      this.#running = this.#running.filter(({ endsAt }) => endsAt > at);
      for (const { ticket } of ended) ticket.release(true);
      this.#start();
    }
  }

  /** All who wait in the line give up. */
  emptyLine(): void {
    for (const ticket of this.#line.splice(0)) ticket.release();
  }

  get #capacity(): number {
    return this.admission.capacity - MAX_QUEUE;
  }

  /** Each takes a little longer or shorter, and always the same. */
  #start(): void {
    while (this.#running.length < this.#capacity && this.#line.length > 0) {
      const ticket = this.#line.shift()!;
      const factor = [0.7, 1.3, 0.9, 1.1, 0.8, 1.2, 1][this.#started++ % 7]!;
      this.#running.push({ ticket, endsAt: this.now + this.work * factor });
    }
  }
  #started = 0;
}

/** A house that has been full for so long that it knows its rate, and is empty again. */
function wellKnown(work: number): House {
  const house = new House(work);
  for (let round = 1; round <= 40; round++) {
    house.askTimes(SEQUENCES);
    house.until(house.now + work);
  }
  house.until(house.now + 100);
  return house;
}

/** How often each of so many who come at once has to ask, when they come back as they are told. */
function triesOf(house: House, clients: number, asker?: (index: number) => Asker): number[] {
  let outside = Array.from({ length: clients }, (_, index) => ({ index, at: house.now, tries: 0 }));
  const tries: number[] = [];
  while (outside.length > 0) {
    outside.sort((a, b) => a.at - b.at);
    const [first, ...rest] = outside as [(typeof outside)[0], ...typeof outside];
    house.until(Math.max(house.now, first.at));
    const told = house.ask(asker?.(first.index));
    if (told === undefined) tries.push(first.tries + 1);
    outside =
      told === undefined ? rest : [...rest, { ...first, at: house.now + told, tries: first.tries + 1 }];
  }
  return tries;
}

/** How often each number of seconds was told. */
function histogram(told: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const seconds of told) counts[seconds] = (counts[seconds] ?? 0) + 1;
  return counts;
}

describe('in a flood', () => {
  it('tells each who is refused when a place gets free that nobody else was told of', () => {
    const house = wellKnown(1.6);
    const told = house.askTimes(60);
    expect(told).toHaveLength(60 - PLACES);
    // 36 places, five a second.
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told[0]).toBe(1);
    expect(told.at(-1)).toBeGreaterThanOrEqual(7);
    expect(told.at(-1)).toBeLessThanOrEqual(9);
    expect(Math.max(...Object.values(histogram(told)))).toBeLessThanOrEqual(6);
  });

  it('gives each moment about as many of hundreds as any other, and does not send them far away', () => {
    const house = wellKnown(1.6);
    const counts = histogram(house.askTimes(PLACES + 720));
    // Ten times as many as come back one by one: three times 24, some five a second.
    const full = Array.from({ length: 12 }, (_, index) => counts[index + 1] ?? 0);
    expect(Math.min(...full)).toBeGreaterThan(30);
    expect(Math.max(...full)).toBeLessThan(70);
    expect(Math.max(...Object.keys(counts).map(Number))).toBeLessThan(20);
  });

  it.each([60, 264])('keeps the sequences busy while %d come back as they are told', (clients) => {
    const house = wellKnown(1.6);
    const begun = house.now;
    house.idle = 0;
    const tries = triesOf(house, clients);
    const seconds = house.now - begun;
    expect(house.idle / (seconds * SEQUENCES)).toBeLessThan(0.02);
    // All the work that was left when the last one came in took about as long as it has to.
    expect(seconds).toBeLessThan(((clients - MAX_QUEUE) * 1.6) / SEQUENCES + 3);
    // As often as OpenAI's clients try; and of eleven times as many as there are places, half.
    const inTime = tries.filter((count) => count <= 3).length;
    expect(inTime).toBeGreaterThanOrEqual(clients === 60 ? 60 : 132);
  });

  it('is not moved by those who come back again and again before their time', () => {
    const house = wellKnown(1.6);
    house.askTimes(PLACES);
    const told: number[] = [];
    for (let tenth = 0; tenth < 50; tenth++) {
      told.push(...house.askTimes(24));
      house.until(house.now + 0.1);
    }
    expect(Math.max(...told)).toBeLessThan(20);
    expect(told.filter((seconds) => seconds <= 5).length).toBeGreaterThan(told.length / 5);
  });

  it('forgets those who did not come back', () => {
    const house = wellKnown(1.6);
    house.askTimes(90);
    house.until(house.now + 6);
    house.askTimes(PLACES);
    expect(house.ask()).toBe(1);
  });
});

describe('the rate', () => {
  it('is a short guess before anything has ended', () => {
    const told = new House(1.6).askTimes(60);
    // A place each quarter of a second.
    expect([told[0], told.at(-1)]).toEqual([1, 9]);
  });

  it('is lower the longer nothing ends', () => {
    const house = new House(100);
    house.askTimes(PLACES);
    const longest = [0, 2, 10, 60].map((time) => {
      house.until(time);
      return house.ask();
    });
    // A request takes as long as the first ones did so far, and the guess besides: of eight, one ends each eighth of it.
    expect(longest).toEqual([1, 1, 2, 8]);
  });

  it('follows requests that become longer, and shorter again', () => {
    const house = wellKnown(1.6);
    const longest = () => {
      house.askTimes(PLACES);
      const told = Math.max(...house.askTimes(PLACES));
      house.until(house.now + 1000);
      return told;
    };
    const longestAt = (work: number) => {
      house.work = work;
      longest();
      longest();
      return longest();
    };
    const [before, long, after] = [longestAt(1.6), longestAt(8), longestAt(1.6)] as const;
    expect([before, after].every((seconds) => seconds >= 4 && seconds <= 7)).toBe(true);
    expect(long).toBeGreaterThan(16);
    expect(long).toBeLessThan(32);
  });

  it('is known from requests that were alone: eight together end some three times as often', () => {
    const house = new House(0.6);
    for (let request = 0; request < 40; request++) {
      house.ask();
      house.until(house.now + 5);
    }
    // One each 0.6 s alone, one each 0.21 s together: 36 in 7.6 s.
    const told = house.askTimes(60);
    expect(Math.max(...told)).toBeGreaterThanOrEqual(7);
    expect(Math.max(...told)).toBeLessThanOrEqual(9);
  });

  it('is that of answers, and not of those who give up in the line', () => {
    const house = wellKnown(8);
    for (let times = 0; times < 20; times++) {
      house.askTimes(PLACES);
      house.emptyLine();
    }
    house.askTimes(PLACES);
    expect(Math.max(...house.askTimes(60))).toBeGreaterThan(16);
  });

  it('says a second where many end in one, and a minute where it is more', () => {
    const fast = wellKnown(0.01);
    expect(new Set(fast.askTimes(200))).toEqual(new Set([1]));
    const slow = wellKnown(1000);
    expect(Math.max(...slow.askTimes(60))).toBe(60);
    expect(Math.max(...slow.askTimes(60))).toBe(60);
  });

  it('is right for a model that answers one at a time', () => {
    const house = new House(2, 1);
    house.askTimes(17);
    house.until(20);
    // One in two seconds.
    const told = house.askTimes(20);
    expect(told[0]).toBeLessThanOrEqual(3);
    expect(told.length * 1.8).toBeLessThan(told.at(-1)!);
    expect(told.length * 2.5).toBeGreaterThan(told.at(-1)!);
  });
});

describe('a share that the access policy allows', () => {
  const ofToken = (key: string, perToken: number) => () => ({ key, perToken });
  const inAll = (overall: number) => (index: number) => ({ key: `token ${index}`, overall });
  const SHARES = [
    ['of a token', ofToken('a', SEQUENCES)],
    ['of all tokens together', inAll(SEQUENCES)],
  ] as const;

  it('is told of when one of its own should end', () => {
    const house = wellKnown(1.6);
    const token = { key: 'a', perToken: 2 };
    expect([house.ask(token), house.ask(token)]).toEqual([undefined, undefined]);
    house.askTimes(22);
    // Two of 24 that take 4.8 s in all.
    const told = house.ask(token);
    expect(told).toBeGreaterThanOrEqual(2);
    expect(told).toBeLessThanOrEqual(4);
  });

  it.each(SHARES)('has another place for each who is refused: %s', (_which, asker) => {
    const house = wellKnown(1.6);
    const told = house.askTimes(SEQUENCES + 20, asker);
    expect(told).toHaveLength(20);
    // 20 places, five a second.
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect([told[0], told.at(-1)]).toEqual([1, 4]);
    expect(Math.max(...Object.values(histogram(told)))).toBeLessThanOrEqual(6);
  });

  it.each(SHARES)(
    'is had by nearly all of four rounds within the three tries of OpenAI’s clients: %s',
    (_which, asker) => {
      const tries = triesOf(wellKnown(1.6), 4 * SEQUENCES, asker);
      expect(tries).toHaveLength(4 * SEQUENCES);
      // All who were told the same would have come back for the same places: half of them had to ask more often.
      expect(tries.filter((count) => count <= 3).length).toBeGreaterThanOrEqual(3.6 * SEQUENCES);
    },
  );

  it.each(SHARES)('sends nobody of hundreds far away: %s', (_which, asker) => {
    const house = wellKnown(1.6);
    const counts = histogram(house.askTimes(SEQUENCES + 240, asker));
    const full = Array.from({ length: 4 }, (_, index) => counts[index + 1] ?? 0);
    expect(Math.min(...full)).toBeGreaterThan(30);
    expect(Math.max(...Object.keys(counts).map(Number))).toBeLessThan(8);
  });

  it('has its own places: another token, and the door, are told of theirs', () => {
    const house = wellKnown(1.6);
    house.askTimes(12, ofToken('a', 4));
    expect(house.askTimes(5, ofToken('b', 4))).toEqual([1]);
    house.askTimes(16);
    expect(house.ask()).toBe(1);
  });

  it('of one place has them one after the other', () => {
    const house = new House(2, 1);
    house.askTimes(1);
    house.until(20);
    const told = house.askTimes(4, ofToken('a', 1));
    expect(new Set(told).size).toBe(3);
    house.until(house.now + 3);
    // The first has its turn, and who comes then stands behind those who were told before.
    expect(house.ask(ofToken('a', 1)())).toBeUndefined();
    expect(house.ask(ofToken('a', 1)())).toBeGreaterThanOrEqual(told.at(-1)! - 3 + 1);
  });

  it('has places more seldom while most sequences have nothing to do', () => {
    const house = wellKnown(1.6);
    // Two of eight: half as many a second as two of eight that work.
    expect(house.askTimes(8, ofToken('a', 2)).at(-1)).toBe(3);
  });

  it('has a place at once again after those who were told have had their time', () => {
    const house = wellKnown(1.6);
    house.askTimes(2 * SEQUENCES, ofToken('a', SEQUENCES));
    house.until(house.now + 10);
    house.askTimes(SEQUENCES, ofToken('a', SEQUENCES));
    expect(house.ask(ofToken('a', SEQUENCES)())).toBe(1);
  });
});
