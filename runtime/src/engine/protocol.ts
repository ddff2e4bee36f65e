import type {
  DraftFigures,
  EmbedRequest,
  EngineErrorCode,
  GenerateEvent,
  GenerateRequest,
  PromptCacheFigures,
} from './engine.js';
import type { MemoryPlan } from './memory-plan.js';
import type { Flexible } from './concessions.js';
import type { ModelSettings } from './options.js';

/**
 * What the HTTP process and the engine's child process say to each other. Both ends come from the same build, so
 * the types are the contract; `id` numbers a request for the life of one child.
 */
export type ToChild =
  | { readonly type: 'load'; readonly settings: ModelSettings; readonly memory: MemoryPlan }
  | { readonly type: 'generate'; readonly id: number; readonly request: GenerateRequest }
  | { readonly type: 'embed'; readonly id: number; readonly inputs: EmbedRequest['inputs'] }
  | { readonly type: 'cancel'; readonly id: number }
  /** Answered with `pong` at once: evaluation runs on other threads and never holds the child's event loop. */
  | { readonly type: 'ping' }
  | { readonly type: 'stats' }
  /** Finish the step under way, then exit. */
  | { readonly type: 'stop' };

export type FromChild =
  | { readonly type: 'ready'; readonly model: LoadedModel; readonly fitted: FittedSettings }
  /** The model cannot be used; trying again would end the same way. */
  | { readonly type: 'unusable'; readonly message: string; readonly details: ErrorDetails }
  /** All that one step produced, in one message: a message costs more than a token's bookkeeping. */
  | { readonly type: 'events'; readonly events: readonly RequestEvent[] }
  /** `stepMs`: how long the step under way has taken so far. */
  | {
      readonly type: 'pong';
      readonly stepMs: number;
      readonly promptCache?: PromptCacheFigures;
      readonly drafts?: DraftFigures;
    }
  | { readonly type: 'stats'; readonly stats: EngineStats }
  | { readonly type: 'log'; readonly level: 'INF' | 'WRN' | 'ERR'; readonly text: string };

export type ErrorDetails = Readonly<Record<string, number | string>>;

/** What the memory had room for. */
export type FittedSettings = Pick<ModelSettings, Flexible>;

export interface LoadedModel {
  readonly contextSize: number;
  readonly sequences: number;
  readonly makes: 'text' | 'embeddings';
  /** Of a model that makes embeddings. */
  readonly dimensions?: number;
  readonly notes: readonly string[];
}

export interface RequestFailure {
  readonly type: 'error';
  readonly code: EngineErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

/** The request was cancelled and its sequence is free again. */
export interface RequestCancelled {
  readonly type: 'cancelled';
}

/** The vector of the next input, as base64 of 32-bit floats, little-endian: the form in which most clients ask for it. */
export interface VectorEvent {
  readonly type: 'vector';
  readonly base64: string;
  readonly tokens: number;
  /** Of the last input. */
  readonly isLast: boolean;
}

export type RequestEvent = readonly [
  id: number,
  event: GenerateEvent | VectorEvent | RequestFailure | RequestCancelled,
];

/** Counters since the child's start, for tests and tuning. */
export interface EngineStats {
  /** Steps in which only tokens of running answers were evaluated. */
  readonly decodeSteps: number;
  /** Tokens that answers got in those steps. */
  readonly decodeTokens: number;
  readonly drafts: DraftFigures;
  /** Steps that read prompts. */
  readonly prefillSteps: number;
  readonly prefillTokens: number;
  /** Evaluations that llama.cpp was asked for: one a step. */
  readonly batches: number;
  /** Sequences moved next to the running ones. */
  readonly moves: number;
  /** Threads that evaluate now: fewer than set while other programs compete for the processors. */
  readonly threads: number;
}
