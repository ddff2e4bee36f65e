import type { LlamaModel, Token } from 'node-llama-cpp';
import { messageOf } from '../errors/message-of.js';
import type { BatchFilling } from './batch-filling.js';
import type { GenerateEvent, PromptCacheFigures } from './engine.js';
import { lengthOf, type Evaluation, type Evaluator, type Outcome } from './evaluator.js';
import { Lane, type Job } from './lane.js';
import type { EngineStats, RequestEvent } from './protocol.js';
import { SamplerPool } from './sampler.js';
import type { Draft } from './prompt-lookup.js';
import type { SequencePlacement } from './sequence-placement.js';
import { countRuns } from './sequence-pool.js';
import type { Speculation } from './speculation.js';
import type { Step, StepPlanner } from './step-planner.js';
import type { ThreadGovernor } from './thread-governor.js';
import { commonPrefix, usablePrefix, WORTH_MOVING_TOKENS } from './token-prefix.js';

/** Steps that gaps between running sequences are left alone: who ended a request often sends the next one at once. */
const STEPS_APART = 4;

/** Any token will do. */
const FILLING_TOKEN = 0 as Token;

export interface SchedulerOptions {
  /** How many sequences the context has. */
  readonly sequences: number;
  readonly placement: SequencePlacement;
  readonly model: LlamaModel;
  /** Tokens that each of them holds. */
  readonly contextSize: number;
  readonly evaluator: Evaluator;
  /** Undefined where no batch can be filled. */
  readonly filling: BatchFilling | undefined;
  /** Undefined where nothing is to be guessed. */
  readonly speculation: Speculation | undefined;
  /** Sequences can go back to any of their tokens; else a beginning is of no use to who goes on differently. */
  readonly goesBack: boolean;
  readonly planner: StepPlanner;
  readonly threads: ThreadGovernor;
  /** Called once a step with all that it produced. */
  readonly emit: (events: readonly RequestEvent[]) => void;
}

/** A request's share of a step. */
interface Part {
  readonly lane: Lane;
  readonly evaluation: Evaluation;
  /** Where it is guessed how it goes on. */
  readonly draft?: Draft;
}

/** Evaluated along, and forgotten: `length` is what its sequence had before. */
type Filler = Evaluation & { readonly length: number };

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
  readonly #samplers: SamplerPool;
  #stepsApart = 0;
  #events: RequestEvent[] = [];
  #loop: Promise<void> | undefined;
  #stepStarted: number | undefined;
  #stopped = false;
  readonly #stats = {
    decodeSteps: 0,
    decodeTokens: 0,
    prefillSteps: 0,
    prefillTokens: 0,
    drafts: { tokens: 0, accepted: 0 },
  };

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#samplers = new SamplerPool(options.model);
  }

  get stats(): EngineStats {
    return {
      ...this.#stats,
      moves: this.#options.placement.moves,
      batches: this.#options.evaluator.batches,
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
      this.#dropCancelled();
      // Who comes may have to wait for files: what there is to tell does not wait for that.
      if (this.#waiting.length > 0) this.#flush();
      await this.#admit();
      await this.#compact();
      if (this.#lanes.size === 0 && this.#waiting.length === 0) {
        this.#flush();
        return;
      }
      await this.#step();
      // A turn of the event loop: messages come in.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #dropCancelled(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.job.cancelled) this.#release(lane, { type: 'cancelled' });
    }
  }

  async #admit(): Promise<void> {
    const { placement, sequences, model, contextSize } = this.#options;
    /** Requests that wait for a beginning which another reads; a sequence is left for each. */
    let heldBack = 0;
    for (let next = 0; next < this.#waiting.length && this.#lanes.size + heldBack < sequences;) {
      const job = this.#waiting[next];
      if (job === undefined) return;
      // The last token is always evaluated: the first of the answer is chosen from what it yields.
      const reusable = job.tokens.slice(0, -1);
      if (this.#isReadByAnother(reusable)) {
        heldBack++;
        next++;
        continue;
      }
      this.#waiting.splice(next, 1);
      const sequence = await placement.place(reusable, new Set(this.#lanes.keys()));
      sequence.keepFirst(usablePrefix(sequence, reusable));
      const lane = new Lane(job, sequence, { model, contextSize, sampler: this.#samplers.take() });
      this.#lanes.set(sequence.id, lane);
      this.#push(lane, { type: 'start', promptTokens: job.tokens.length, cachedTokens: lane.cachedTokens });
    }
  }

  /** A beginning that several share, such as a system prompt, is read once; the others then take it from there. */
  #isReadByAnother(tokens: readonly Token[]): boolean {
    if (!this.#options.goesBack) return false;
    for (const lane of this.#lanes.values()) {
      if (lane.promptTokensLeft === 0 || lane.job.cancelled) continue;
      const shared = commonPrefix(lane.job.tokens, tokens);
      const isRead = lane.job.tokens.length - lane.promptTokensLeft >= shared;
      if (!isRead && shared - this.#options.placement.usablePrefix(tokens) >= WORTH_MOVING_TOKENS)
        return true;
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
    const from = new Map([...this.#lanes.values()].map((lane) => [lane, lane.sequence.id]));
    this.#flush();
    const moved = await this.#options.placement.compact(this.#lanes);
    if (moved === undefined) return;
    this.#lanes.delete(from.get(moved) ?? -1);
    this.#lanes.set(moved.sequence.id, moved);
  }

  async #step(): Promise<void> {
    const lanes = [...this.#lanes.values()];
    const step = this.#options.planner.plan(
      lanes.map((lane) => ({
        request: lane.job.id,
        sequence: lane.sequence.id,
        promptTokensLeft: lane.promptTokensLeft,
      })),
    );
    const othersDecode = lanes.some((lane) => lane.promptTokensLeft === 0);
    const allDecode = step.shares.size === lanes.length;
    const { parts, fillers } = this.#partsOf(step);
    const tokens = parts.reduce((sum, { evaluation }) => sum + lengthOf(evaluation), 0);
    this.#options.threads.stepBegins(step.kind === 'decode' ? tokens : 0, allDecode);
    const started = (this.#stepStarted = performance.now());
    await this.#advance(step.kind, parts, fillers);
    this.#stepStarted = undefined;
    this.#options.planner.record(step, performance.now() - started, othersDecode);
    this.#options.threads.stepEnds();
  }

  /** What is evaluated of each request, and along with them. */
  #partsOf({ kind, shares }: Step): { readonly parts: readonly Part[]; readonly fillers: readonly Filler[] } {
    const running = [...shares].map(([id, share]) => {
      const lane = this.#lanes.get(id);
      if (lane === undefined) throw new RangeError(`nothing runs on sequence ${id}`);
      return { lane, share };
    });
    const ids = kind === 'decode' ? this.#idleToFill([...shares.keys()]) : [];
    const speculative =
      kind === 'decode'
        ? this.#options.speculation?.choose(
            running.map(({ lane }) => lane),
            [...shares.keys(), ...ids],
          )
        : undefined;
    if (speculative === undefined)
      return {
        parts: running.map(({ lane, share }) => ({ lane, evaluation: lane.next(share) })),
        fillers: ids.map((id) => this.#filler(id)),
      };
    const { count, drafts } = speculative;
    const parts = running.map(({ lane, share }, at) => {
      const draft = drafts[at];
      const tokens = draft?.tokens ?? Array<Token>(count).fill(FILLING_TOKEN);
      return { lane, evaluation: lane.next(share, tokens), ...(draft === undefined ? {} : { draft }) };
    });
    return { parts, fillers: [] };
  }

  async #advance(kind: Step['kind'], parts: readonly Part[], fillers: readonly Filler[]): Promise<void> {
    let outcomes: readonly Outcome[];
    try {
      const evaluations = parts.map(({ evaluation }) => evaluation);
      const evaluated = this.#options.evaluator.evaluate([...evaluations, ...fillers]);
      // While it evaluates: before it, the time that telling takes would be added to every token.
      this.#flush();
      outcomes = await evaluated;
    } catch (error) {
      outcomes = parts.map(() => ({ chosen: [], error }));
    }
    for (const { sequence, length } of fillers) sequence.keepFirst(length);
    this.#countStep(kind, parts);
    for (const [at, part] of parts.entries()) this.#take(part, outcomes[at] ?? { chosen: [] });
  }

  /** A token of no meaning behind what an idle sequence has: the batch takes less time with it. */
  #filler(id: number): Filler {
    const sequence = this.#options.placement.sequence(id);
    return { sequence, tokens: [FILLING_TOKEN], length: sequence.length };
  }

  /** Ids of sequences that are better evaluated along with these. */
  #idleToFill(running: readonly number[]): readonly number[] {
    const { filling, placement, sequences, contextSize } = this.#options;
    if (filling === undefined) return [];
    const idle = new Set<number>();
    for (let id = 0; id < sequences; id++) {
      if (!this.#lanes.has(id) && placement.sequence(id).length < contextSize) idle.add(id);
    }
    return filling.choose(running, idle);
  }

  #take({ lane, draft }: Part, outcome: Outcome): void {
    const before = { tokens: lane.generatedTokens, accepted: lane.guesses.accepted };
    try {
      for (const event of lane.accept(outcome, draft)) {
        if (event.type === 'end') this.#release(lane, event);
        else this.#push(lane, event);
      }
    } catch (error) {
      lane.sequence.clear();
      this.#release(lane, {
        type: 'error',
        code: 'engine_interrupted',
        message: `the evaluation failed: ${messageOf(error)}`,
        details: {},
      });
    }
    // The first token of an answer comes of reading its prompt.
    if (before.tokens > 0) this.#stats.decodeTokens += lane.generatedTokens - before.tokens;
    this.#stats.drafts.tokens += draft?.tokens.length ?? 0;
    this.#stats.drafts.accepted += lane.guesses.accepted - before.accepted;
  }

  /** The sequence keeps what it has evaluated, for the next request that begins the same. */
  #release(lane: Lane, last: RequestEvent[1]): void {
    this.#samplers.give(lane.sampler);
    this.#lanes.delete(lane.sequence.id);
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

  #countStep(kind: Step['kind'], parts: readonly Part[]): void {
    if (kind === 'decode') {
      this.#stats.decodeSteps++;
      return;
    }
    this.#stats.prefillSteps++;
    for (const { evaluation } of parts) this.#stats.prefillTokens += evaluation.tokens.length;
  }
}
