/**
 * The seam between the HTTP process and whatever answers a prompt: the local model in its child process, or a
 * remote service. Everything above this line knows only these types.
 */

import type { JsonSchema } from '../grammar/schema-reading.js';
import type { MemoryPlan } from './memory-plan.js';

/** One message of a conversation, already reduced to text. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** The assistant's: tools it asked for, each answered by a message of the role `tool`. */
  readonly toolCalls?: readonly ToolCall[];
  /** A tool's: which call it answers. */
  readonly toolCallId?: string;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** A JSON object. */
  readonly arguments: string;
}

/** A function that the model may ask for. */
export interface ToolFunction {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the arguments, an object. Without it there are none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** For a remote service; a grammar always keeps to the schema. */
  readonly strict?: boolean;
}

export interface ToolUse {
  /** At least one. */
  readonly functions: readonly ToolFunction[];
  /** Whether the model decides, must ask for some function, or must ask for this one. */
  readonly choice: 'auto' | 'required' | { readonly name: string };
  /** Several calls in one answer are allowed. */
  readonly parallel: boolean;
}

/** What the text of the answer has to be. For a local model schemas were checked: each can be made into a grammar. */
export type AnswerFormat =
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema';
      readonly schema: JsonSchema;
      /** These three say nothing to a grammar; a remote service may want them, and word rules look at them. */
      readonly name?: string;
      readonly description?: string;
      readonly strict?: boolean;
    };

/** What to sample and when to stop. Every field is set: defaults are the API layer's business. */
export interface SamplingOptions {
  /** Most tokens to generate, at least 1. */
  readonly maxTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** 1 switches nucleus sampling off. */
  readonly topP: number;
  /** Makes sampling repeatable. Without it each request gets a random seed. */
  readonly seed?: number;
  /** Generation ends before the first of these strings; they are not part of the answer. */
  readonly stop: readonly string[];
  /** OpenAI's meaning: -2 to 2, 0 is off. */
  readonly frequencyPenalty: number;
  /** OpenAI's meaning: -2 to 2, 0 is off. */
  readonly presencePenalty: number;
}

export interface GenerateRequest extends SamplingOptions {
  /** The request's id, end to end: in the HTTP header, the logs and the engine. */
  readonly id: string;
  /** A conversation (rendered with the model's own chat template) or raw text to continue. */
  readonly input: { readonly messages: readonly ChatMessage[] } | { readonly prompt: string };
  readonly tools?: ToolUse;
  readonly format?: AnswerFormat;
  /** What much of the answer is expected to be: a help to guess its tokens, and nothing that the model reads. */
  readonly prediction?: string;
  /** With it, pieces of text carry the log-probability of each token, and of this many likeliest ones beside it. */
  readonly topLogprobs?: number;
}

/** A token and its log-probability (natural, before temperature and cuts). */
export interface TokenLogprob {
  readonly text: string;
  /** Of a token that is no text by itself, a part of a character; where the tokenizer tells. */
  readonly bytes?: readonly number[];
  readonly logprob: number;
}

export interface ChosenLogprob extends TokenLogprob {
  /** Likeliest first. */
  readonly top: readonly TokenLogprob[];
}

/** Guesses at how answers go on that were evaluated along with them. */
export interface DraftFigures {
  readonly tokens: number;
  /** Those that were right: tokens of answers that took no step of their own. */
  readonly accepted: number;
}

export interface Usage {
  readonly promptTokens: number;
  /** Of the prompt's tokens, those that were already evaluated on the sequence it got. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Of a request with a prediction: tokens that were guessed, from it or from what else stood there. */
  readonly guesses?: DraftFigures;
}

/** `content_filter`: a word rule of this service's ended the answer, or a filter of a remote one's. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter';

export interface TextEvent {
  readonly type: 'text';
  readonly text: string;
  /** How many tokens it took, those of calls and of what was held back included. */
  readonly tokens: number;
  /** One for each token, if they were asked for. */
  readonly logprobs?: readonly ChosenLogprob[];
}

export type GenerateEvent =
  /** The request left the queue and has a sequence. Sent once, first. */
  | { readonly type: 'start'; readonly promptTokens: number; readonly cachedTokens: number }
  /** A piece of the answer: never half a character, never part of a stop string. */
  | TextEvent
  /**
   * The model asks for a function; its arguments follow. `index` counts the calls of this answer from 0. `id` is what a
   * remote service calls it.
   */
  | { readonly type: 'tool-call'; readonly index: number; readonly name: string; readonly id?: string }
  /** A piece of the arguments' JSON. */
  | {
      readonly type: 'tool-arguments';
      readonly index: number;
      readonly text: string;
      readonly tokens: number;
    }
  /** Sent once, last. `warning`: why the answer is shorter than was asked for, for people. */
  | {
      readonly type: 'end';
      readonly finishReason: FinishReason;
      readonly usage: Usage;
      readonly warning?: string;
    };

/** Texts, or tokens of the model's own vocabulary, to be made into one vector each. */
export interface EmbedRequest {
  /** As in GenerateRequest. */
  readonly id: string;
  readonly inputs: readonly (string | readonly number[])[];
  /** Shorter vectors than the model's own, where it can. */
  readonly dimensions?: number;
}

export interface Embeddings {
  /** One for each input, in their order, of length 1. */
  readonly vectors: readonly Float32Array[];
  readonly promptTokens: number;
}

/**
 * `loading` until the model has answered once; `switching` while another model takes its place and requests wait for
 * it; `restarting` after a crash; `failed` when it cannot be started,
 * until `start` is called again.
 */
export type EngineState = 'loading' | 'ready' | 'switching' | 'restarting' | 'failed' | 'stopped';

/** Conversations that lost their sequence to another and wait in memory for their next turn. */
export interface PromptCacheFigures {
  readonly limitBytes: number;
  readonly bytes: number;
  readonly conversations: number;
  /** How often a prompt found its beginning here, since the engine's process began. */
  readonly hits: number;
  /** Conversations that went to make room for others, as long. */
  readonly evictions: number;
}

export interface EngineStatus {
  readonly state: EngineState;
  /** Why the state is `restarting` or `failed`, for people. */
  readonly reason?: string;
  /** Requests that hold a sequence. */
  readonly running: number;
  /** Requests that wait for one. */
  readonly waiting: number;
  /** How often the engine process was restarted since the start. */
  readonly restarts: number;
  /** Of a local model, at most some seconds old. */
  readonly promptCache?: PromptCacheFigures;
  /** Of all answers since the engine's process began; of a local model, at most some seconds old. */
  readonly drafts?: DraftFigures;
}

/** What is known of a model once it is loaded. */
export interface ModelInfo {
  /** The name clients use: the config's `model_name`, else the file's name without `.gguf`. */
  readonly id: string;
  readonly contextSize: number;
  /** How many requests can be evaluated at once. */
  readonly sequences: number;
  /** A remote service answers: it takes conversations only, no raw prompts, and judges schemas itself. @default false */
  readonly isRemote?: boolean;
  /** What requests it takes. @default 'text' */
  readonly makes?: 'text' | 'embeddings' | 'both';
  /** Of the vectors that it makes, where that is known. */
  readonly dimensions?: number;
  /** For people: settings chosen and why, one line each. */
  readonly notes: readonly string[];
}

export interface Engine {
  readonly model: ModelInfo;
  /**
   * Starts and resolves when the model has answered; rejects with an EngineError that says why not, and may be called
   * again then.
   */
  start(memory?: MemoryPlan): Promise<void>;
  status(): EngineStatus;
  /**
   * Answers one prompt. Aborting the signal, or leaving the loop early, cancels the work and frees the sequence.
   * @throws EngineError
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Only where the model makes embeddings. @throws EngineError */
  embed(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings>;
  /** Called at each change of state. Returns a function that unsubscribes. */
  onState(listener: (status: EngineStatus) => void): () => void;
  /** Cancels what is running and frees memory. The caller drains first. */
  stop(): Promise<void>;
}

export type EngineErrorCode =
  /** The prompt and the answer's first token do not fit the context. */
  | 'context_length_exceeded'
  /** The model's chat template cannot render these messages, for example because roles do not alternate. */
  | 'prompt_refused'
  /** The model makes no embeddings. */
  | 'embeddings_refused'
  /** It makes nothing else. */
  | 'text_refused'
  /** The form that the answer should have cannot be kept to: a schema that is too large, for example. */
  | 'format_refused'
  /** The engine is loading, restarting or failed; try again later. */
  | 'engine_unavailable'
  /** The engine died or was told to stop while this request ran. */
  | 'engine_interrupted'
  /** The model file is missing, damaged or too large; `message` says which and what to do. */
  | 'model_unusable'
  /** The remote service cannot be used as it is set up, timed out or answered something unreadable. */
  | 'upstream_failed'
  /** The remote service finds fault with the request; `message` is what it says. */
  | 'upstream_refused'
  /** The remote service is over a limit or away for a while; `details.seconds` says for how long. */
  | 'upstream_busy';

export class EngineError extends Error {
  constructor(
    readonly code: EngineErrorCode,
    message: string,
    /** For `context_length_exceeded`: `{ promptTokens, contextSize }`; for others what helps. */
    readonly details: Readonly<Record<string, number | string>> = {},
  ) {
    super(message);
    this.name = 'EngineError';
  }
}
