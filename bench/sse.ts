/** Reads a stream of server-sent events that arrives in pieces cut anywhere. */
export class SseParser {
  #decoder = new TextDecoder();
  #rest = '';

  /** Returns the `data` of every event line completed by this piece, without `[DONE]`. */
  push(piece: Uint8Array): string[] {
    const lines = (this.#rest + this.#decoder.decode(piece, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice('data:'.length).trim())
      .filter((data) => data !== '[DONE]');
  }
}

/** What the client saw of one streamed answer. Times are milliseconds of one monotonic clock. */
export interface Timeline {
  /** The request was sent. */
  readonly sentAt: number;
  /** When each chunk with text arrived, in order. */
  readonly chunkAt: readonly number[];
  readonly promptTokens: number;
  /** Of these, those that the server had evaluated before. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** OpenAI's `finish_reason`, or undefined when the client left first. */
  readonly finishReason: string | undefined;
}

/** The parts of a `chat.completion.chunk` that are measured. */
interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details?: { cached_tokens?: number };
  } | null;
  error?: { message?: string };
}

/** Builds a {@link Timeline} from the chunks of one answer. */
export class TimelineRecorder {
  readonly #sentAt: number;
  readonly #chunkAt: number[] = [];
  #usage: Chunk['usage'];
  #finishReason: string | undefined;

  constructor(sentAt: number) {
    this.#sentAt = sentAt;
  }

  /** Chunks with text so far. */
  get chunks(): number {
    return this.#chunkAt.length;
  }

  /** @throws when the server reports an error in mid-stream. */
  add(data: string, at: number): void {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new Error(`the server broke off its answer: ${chunk.error.message ?? data}`);
    const choice = chunk.choices?.[0];
    // The first chunk carries the role and no text; it says nothing about a token.
    if (choice?.delta?.content) this.#chunkAt.push(at);
    if (choice?.finish_reason) this.#finishReason = choice.finish_reason;
    if (chunk.usage) this.#usage = chunk.usage;
  }

  finish(): Timeline {
    return {
      sentAt: this.#sentAt,
      chunkAt: this.#chunkAt,
      promptTokens: this.#usage?.prompt_tokens ?? 0,
      cachedTokens: this.#usage?.prompt_tokens_details?.cached_tokens ?? 0,
      completionTokens: this.#usage?.completion_tokens ?? this.#chunkAt.length,
      finishReason: this.#finishReason,
    };
  }
}
