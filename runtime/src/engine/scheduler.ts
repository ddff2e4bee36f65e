import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { GenerateEvent } from './engine.js';
import type { BatchingStrategy } from './batching-strategy.js';
import { Lane, type Job } from './lane.js';
import type { EngineStats, RequestEvent } from './protocol.js';
import { SamplerGarbage } from './sampler-garbage.js';
import { SequenceMover, WORTH_MOVING_TOKENS } from './sequence-mover.js';
import { chooseSequence } from './sequence-pool.js';
import type { Step, StepPlanner } from './step-planner.js';
import type { ThreadGovernor } from './thread-governor.js';

export interface SchedulerOptions {
  /** Every sequence of the context, in order of their ids: 0, 1, 2, … */
  readonly sequences: readonly LlamaContextSequence[];
  readonly vocabularySize: number;
  readonly batching: BatchingStrategy;
  readonly planner: StepPlanner;
  readonly threads: ThreadGovernor;
  /** Called once a step with all that it produced. */
  readonly emit: (events: readonly RequestEvent[]) => void;
}

/**
 * Runs requests on the context's sequences, one step at a time. A step evaluates tokens of several sequences in one
 * batch; between steps nothing is evaluated, and that is when requests come, go, and sequences are rearranged.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  /** Every request that has not ended. */
  readonly #jobs = new Map<number, Job>();
  readonly #waiting: Job[] = [];
  readonly #lanes = new Map<number, Lane>();
  readonly #lastUsed: number[];
  readonly #mover = new SequenceMover();
  readonly #garbage: SamplerGarbage;
  #uses = 0;
  #events: RequestEvent[] = [];
  #loop: Promise<void> | undefined;
  #stepStarted: number | undefined;
  #stopped = false;
  readonly #stats = { decodeSteps: 0, decodeTokens: 0, prefillSteps: 0, prefillTokens: 0, moves: 0 };

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#lastUsed = options.sequences.map(() => 0);
    this.#garbage = new SamplerGarbage(options.vocabularySize);
  }

  get stats(): EngineStats {
    return {
      ...this.#stats,
      batches: this.#options.batching.batches,
      threads: this.#options.threads.threads,
    };
  }

  /** How long the step under way has taken. */
  get stepMs(): number {
    return this.#stepStarted === undefined ? 0 : performance.now() - this.#stepStarted;
  }

  submit(job: Job): void {
    this.#jobs.set(job.id, job);
    this.#waiting.push(job);
    this.#loop ??= this.#run().finally(() => (this.#loop = undefined));
  }

  /** The request ends with a `cancelled` event once its sequence is free: after the step under way. */
  cancel(id: number): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    job.cancelled = true;
    const waiting = this.#waiting.indexOf(job);
    if (waiting < 0) return;
    this.#waiting.splice(waiting, 1);
    this.#jobs.delete(id);
    this.#options.emit([[id, { type: 'cancelled' }]]);
  }

  /** Ends after the step under way; requests that are left get no more events. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#dropCancelled();
      await this.#admit();
      this.#flush();
      if (this.#lanes.size === 0) {
        this.#garbage.idle();
        return;
      }
      await this.#step();
      this.#flush();
      // A turn of the event loop: node-llama-cpp lets go of the context, and messages come in.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #dropCancelled(): Promise<void> {
    for (const lane of this.#lanes.values()) {
      if (lane.job.cancelled) await this.#release(lane, { type: 'cancelled' });
    }
  }

  async #admit(): Promise<void> {
    while (this.#waiting.length > 0 && this.#lanes.size < this.#options.sequences.length) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      const id = this.#choose(job.tokens);
      await this.#prepare(job.tokens, id);
      const sequence = this.#sequence(id);
      // The last token is always evaluated: the first of the answer is sampled from what it yields.
      const reusable = Math.min(evaluatedPrefix(sequence, job.tokens), job.tokens.length - 1);
      await sequence.adaptStateToTokens(job.tokens.slice(0, reusable), false);
      const lane = new Lane(job, sequence, id);
      this.#lanes.set(id, lane);
      this.#lastUsed[id] = ++this.#uses;
      this.#push(lane, { type: 'start', promptTokens: job.tokens.length, cachedTokens: lane.cachedTokens });
    }
  }

  #choose(tokens: readonly Token[]): number {
    const free = this.#options.sequences.flatMap((sequence, id) => {
      if (this.#lanes.has(id)) return [];
      const prefix = evaluatedPrefix(sequence, tokens);
      const continues =
        prefix >= WORTH_MOVING_TOKENS || sequence.nextTokenIndex - prefix < WORTH_MOVING_TOKENS;
      // A few tokens that all conversations share are no reason to overwrite one that was just used.
      return [{ id, prefix: continues ? prefix : 0, lastUsed: this.#lastUsed[id] ?? 0 }];
    });
    const choice = chooseSequence(free, [...this.#lanes.keys()]);
    if (choice === undefined) throw new RangeError('every sequence is in use');
    return choice.id;
  }

  /**
   * Where a request runs is decided by its neighbours, what is kept by its use: brings the prompt's longest evaluated
   * beginning to `id`, and what `id` held to where it can stay.
   */
  async #prepare(tokens: readonly Token[], id: number): Promise<void> {
    const held = this.#options.sequences.map((sequence) => sequence.nextTokenIndex);
    const prefixes = this.#options.sequences.map((sequence) => evaluatedPrefix(sequence, tokens));
    /** Tokens that the sequence would lose if it went on with this prompt. */
    const loss = (of: number): number => (held[of] ?? 0) - (prefixes[of] ?? 0);
    const longest = Math.max(...prefixes);
    const source = longest - (prefixes[id] ?? 0) >= WORTH_MOVING_TOKENS ? prefixes.indexOf(longest) : id;

    if (source !== id && !this.#lanes.has(source) && loss(source) < WORTH_MOVING_TOKENS) {
      // The same conversation goes on: the two change places.
      if ((held[id] ?? 0) < WORTH_MOVING_TOKENS) await this.#move([source, id]);
      else await this.#move([source, id], [id, source]);
      return;
    }
    const atStake = source === id ? loss(id) : (held[id] ?? 0);
    const leastUsed = this.#leastUsedFree();
    if (atStake >= WORTH_MOVING_TOKENS && leastUsed !== id && leastUsed !== source)
      await this.#move([id, leastUsed]);
    if (source !== id) await this.#move([source, id]);
  }

  /** All at once: what each sequence holds before the first move goes to the other. */
  async #move(...moves: readonly (readonly [from: number, to: number])[]): Promise<void> {
    const moved = await this.#mover.move(
      moves.map(([from, to]) => [this.#sequence(from), this.#sequence(to)]),
    );
    if (!moved) return;
    this.#stats.moves++;
    const lastUsed = [...this.#lastUsed];
    for (const [from, to] of moves) this.#lastUsed[to] = lastUsed[from] ?? 0;
  }

  #leastUsedFree(): number {
    const free = this.#options.sequences.map((_, id) => id).filter((id) => !this.#lanes.has(id));
    return free.reduce((least, id) =>
      (this.#lastUsed[id] ?? 0) < (this.#lastUsed[least] ?? 0) ? id : least,
    );
  }

  #sequence(id: number): LlamaContextSequence {
    const sequence = this.#options.sequences[id];
    if (sequence === undefined) throw new RangeError(`there is no sequence ${id}`);
    return sequence;
  }

  async #step(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    const step = this.#options.planner.plan(
      lanes.map((lane) => ({ sequence: lane.sequenceId, promptTokensLeft: lane.promptTokensLeft })),
    );
    const othersDecode = lanes.some((lane) => lane.promptTokensLeft === 0);
    this.#options.batching.expect(step.shares.size);
    this.#options.threads.stepBegins();
    const started = (this.#stepStarted = performance.now());
    await Promise.all([...step.shares].map(([id, share]) => this.#advance(id, share)));
    this.#stepStarted = undefined;
    this.#options.planner.record(step, performance.now() - started, othersDecode);
    this.#options.threads.stepEnds();
    if (step.kind === 'prefill') this.#garbage.made(step.shares.size);
    this.#count(step);
  }

  async #advance(sequenceId: number, share: number): Promise<void> {
    const lane = this.#lanes.get(sequenceId);
    if (lane === undefined) throw new RangeError(`nothing runs on sequence ${sequenceId}`);
    try {
      const events = await lane.step(share);
      for (const event of events) {
        if (event.type === 'end') await this.#release(lane, event);
        else this.#push(lane, event);
      }
    } catch (error) {
      await lane.close();
      await this.#sequence(sequenceId).clearHistory();
      await this.#release(lane, {
        type: 'error',
        code: 'engine_interrupted',
        message: `the evaluation failed: ${error instanceof Error ? error.message : String(error)}`,
        details: {},
      });
    }
  }

  async #release(lane: Lane, last: RequestEvent[1]): Promise<void> {
    await lane.close();
    this.#lanes.delete(lane.sequenceId);
    this.#jobs.delete(lane.job.id);
    this.#events.push([lane.job.id, last]);
  }

  #push(lane: Lane, event: GenerateEvent): void {
    this.#events.push([lane.job.id, event]);
  }

  #flush(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#options.emit(events);
  }

  #count(step: Step): void {
    let tokens = 0;
    for (const share of step.shares.values()) tokens += share;
    if (step.kind === 'decode') {
      this.#stats.decodeSteps++;
      this.#stats.decodeTokens += tokens;
    } else {
      this.#stats.prefillSteps++;
      this.#stats.prefillTokens += tokens;
    }
  }
}

/** How many of the first tokens the sequence has evaluated already. */
function evaluatedPrefix(sequence: LlamaContextSequence, tokens: readonly Token[]): number {
  return sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex;
}
