import type { Token } from 'node-llama-cpp';
import { messageOf } from '../errors/message-of.js';
import type { GenerateEvent, PromptCacheFigures } from './engine.js';
import type { BatchingStrategy } from './batching-strategy.js';
import { Lane, type Job } from './lane.js';
import type { EngineStats, RequestEvent } from './protocol.js';
import { SamplerGarbage } from './sampler-garbage.js';
import type { SequencePlacement } from './sequence-placement.js';
import { countRuns } from './sequence-pool.js';
import type { Step, StepPlanner } from './step-planner.js';
import type { ThreadGovernor } from './thread-governor.js';
import { commonPrefix, evaluatedPrefix, WORTH_MOVING_TOKENS } from './token-prefix.js';

/** Steps that gaps between running sequences are left alone: who ended a request often sends the next one at once. */
const STEPS_APART = 4;

export interface SchedulerOptions {
  /** How many sequences the context has. */
  readonly sequences: number;
  readonly placement: SequencePlacement;
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
  readonly #garbage: SamplerGarbage;
  #stepsApart = 0;
  #events: RequestEvent[] = [];
  #loop: Promise<void> | undefined;
  #stepStarted: number | undefined;
  #stopped = false;
  readonly #stats = { decodeSteps: 0, decodeTokens: 0, prefillSteps: 0, prefillTokens: 0 };

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#garbage = new SamplerGarbage(options.vocabularySize);
  }

  get stats(): EngineStats {
    return {
      ...this.#stats,
      moves: this.#options.placement.moves,
      batches: this.#options.batching.batches,
      threads: this.#options.threads.threads,
    };
  }

  get promptCache(): PromptCacheFigures {
    return this.#options.placement.promptCache;
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
      await this.#compact();
      this.#flush();
      if (this.#lanes.size === 0 && this.#waiting.length === 0) {
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
    const { placement, sequences } = this.#options;
    /** Requests that wait for a beginning which another reads; a sequence is left for each. */
    let heldBack = 0;
    for (let next = 0; next < this.#waiting.length && this.#lanes.size + heldBack < sequences;) {
      const job = this.#waiting[next];
      if (job === undefined) return;
      if (this.#isReadByAnother(job.tokens)) {
        heldBack++;
        next++;
        continue;
      }
      this.#waiting.splice(next, 1);
      const id = await placement.place(job.tokens, new Set(this.#lanes.keys()));
      const sequence = placement.sequence(id);
      // The last token is always evaluated: the first of the answer is sampled from what it yields.
      const reusable = Math.min(evaluatedPrefix(sequence, job.tokens), job.tokens.length - 1);
      await sequence.adaptStateToTokens(job.tokens.slice(0, reusable), false);
      const lane = new Lane(job, sequence, id);
      this.#lanes.set(id, lane);
      this.#push(lane, { type: 'start', promptTokens: job.tokens.length, cachedTokens: lane.cachedTokens });
    }
  }

  /** A beginning that several share, such as a system prompt, is read once; the others then take it from there. */
  #isReadByAnother(tokens: readonly Token[]): boolean {
    for (const lane of this.#lanes.values()) {
      if (lane.promptTokensLeft === 0 || lane.job.cancelled) continue;
      const shared = Math.min(commonPrefix(lane.job.tokens, tokens), tokens.length - 1);
      const isRead = lane.job.tokens.length - lane.promptTokensLeft >= shared;
      if (!isRead && shared - this.#options.placement.evaluated(tokens) >= WORTH_MOVING_TOKENS) return true;
    }
    return false;
  }

  /** Requests that ended left a gap: where nobody comes to fill it, the others move together. */
  async #compact(): Promise<void> {
    if (this.#waiting.length > 0 || countRuns(this.#lanes.keys()) <= 1) {
      this.#stepsApart = 0;
      return;
    }
    if (++this.#stepsApart < STEPS_APART) return;
    const from = new Map([...this.#lanes.values()].map((lane) => [lane, lane.sequenceId]));
    const moved = await this.#options.placement.compact(this.#lanes);
    if (moved === undefined) return;
    this.#lanes.delete(from.get(moved) ?? -1);
    this.#lanes.set(moved.sequenceId, moved);
  }

  async #step(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    const step = this.#options.planner.plan(
      lanes.map((lane) => ({
        request: lane.job.id,
        sequence: lane.sequenceId,
        promptTokensLeft: lane.promptTokensLeft,
      })),
    );
    const othersDecode = lanes.some((lane) => lane.promptTokensLeft === 0);
    this.#options.batching.expect(step.shares.size);
    this.#options.threads.stepBegins(step.kind === 'decode' ? step.shares.size : 0);
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
      await this.#options.placement.sequence(sequenceId).clearHistory();
      await this.#release(lane, {
        type: 'error',
        code: 'engine_interrupted',
        message: `the evaluation failed: ${messageOf(error)}`,
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
