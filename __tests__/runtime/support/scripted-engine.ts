/** An Engine that does what a test tells it: stands in at the one seam below the HTTP service. */
import { setTimeout as sleep } from 'node:timers/promises';

import type {
  Embeddings,
  EmbedRequest,
  Engine,
  EngineState,
  EngineStatus,
  GenerateEvent,
  GenerateRequest,
  ModelInfo,
} from '../../../runtime/src/engine/engine';

export type Script = (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<GenerateEvent>;

export class ScriptedEngine implements Engine {
  model: ModelInfo = { id: 'test-model', contextSize: 4096, sequences: 2, notes: ['scripted'] };
  readonly requests: GenerateRequest[] = [];
  /** Ids of requests whose generator was ended before its end. */
  readonly cancelled: string[] = [];
  state: EngineState = 'ready';
  reason: string | undefined;
  /** What `start` does; rejecting makes the start fail. */
  onStart: () => Promise<void> = () => Promise.resolve();
  script: Script;
  stopped = false;
  promptCache: EngineStatus['promptCache'];
  drafts: EngineStatus['drafts'];
  #running = 0;
  #listeners = new Set<(status: EngineStatus) => void>();

  constructor(script: Script = says('Hello', ' there')) {
    this.script = script;
  }

  start(): Promise<void> {
    return this.onStart();
  }

  status(): EngineStatus {
    const { state, reason, promptCache, drafts } = this;
    return { state, reason, running: this.#running, waiting: 0, restarts: 3, promptCache, drafts };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void> {
    this.requests.push(request);
    this.#running++;
    let ended = false;
    try {
      for await (const event of this.script(request, signal)) {
        if (event.type === 'end') ended = true;
        yield event;
      }
      ended = true;
    } finally {
      if (!ended) this.cancelled.push(request.id);
      this.#running--;
    }
  }

  /** One vector for each input: its length, and 1. */
  embed({ inputs }: EmbedRequest, _signal: AbortSignal): Promise<Embeddings> {
    const vectors = inputs.map((input) => Float32Array.of(input.length, 1));
    return Promise.resolve({ vectors, promptTokens: 3 * inputs.length });
  }

  onState(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changeState(state: EngineState, reason?: string): void {
    this.state = state;
    this.reason = reason;
    for (const listener of this.#listeners) listener(this.status());
  }

  stop(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
}

const USAGE = { promptTokens: 7, cachedTokens: 3, completionTokens: 2 };

/** Answers with these pieces at once. */
export function says(...pieces: readonly string[]): Script {
  return async function* () {
    yield { type: 'start', promptTokens: USAGE.promptTokens, cachedTokens: USAGE.cachedTokens };
    for (const text of pieces) yield { type: 'text', text, tokens: 1 };
    yield { type: 'end', finishReason: 'stop', usage: { ...USAGE, completionTokens: pieces.length } };
  };
}

/** Starts, says a piece every `everyMs`, and goes on until it is aborted. */
export function neverEnds(everyMs = 10): Script {
  return async function* (_request, signal) {
    yield { type: 'start', promptTokens: USAGE.promptTokens, cachedTokens: USAGE.cachedTokens };
    for (;;) {
      await sleep(everyMs, undefined, { signal });
      yield { type: 'text', text: 'x', tokens: 1 };
    }
  };
}

/** Stays in the queue until it is aborted: not even a start. */
export function neverStarts(): Script {
  // eslint-disable-next-line require-yield -- that is the point
  return async function* (_request, signal) {
    await sleep(60_000, undefined, { signal });
  };
}

/** Says `pieces`, then fails. */
export function fails(error: Error, ...pieces: readonly string[]): Script {
  return async function* () {
    if (pieces.length > 0) yield { type: 'start', promptTokens: 1, cachedTokens: 0 };
    for (const text of pieces) yield { type: 'text', text, tokens: 1 };
    throw error;
  };
}
