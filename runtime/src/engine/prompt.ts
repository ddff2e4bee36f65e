import { LlamaText, resolveChatWrapper } from 'node-llama-cpp';
import type { ChatHistoryItem, ChatWrapper, LlamaModel, Token } from 'node-llama-cpp';
import type { ChatMessage, GenerateRequest } from './engine.js';

export interface RenderedPrompt {
  readonly tokens: readonly Token[];
  /** Strings with which the chat template ends an answer, where the model has no token for it. */
  readonly stop: readonly string[];
}

/**
 * Turns a request into tokens, with the chat template that comes with the model.
 *
 * What users write is tokenized as plain text, so a message that contains `<|im_end|>` cannot end its turn.
 */
export class PromptRenderer {
  readonly #model: LlamaModel;
  readonly #wrapper: ChatWrapper;

  constructor(model: LlamaModel) {
    this.#model = model;
    this.#wrapper = chatWrapperOf(model);
  }

  /** The name of the template's format, for people. */
  get format(): string {
    return this.#wrapper.wrapperName;
  }

  render(input: GenerateRequest['input']): RenderedPrompt {
    if ('prompt' in input) return { tokens: this.#withBos(this.#model.tokenize(input.prompt)), stop: [] };
    const { contextText, stopGenerationTriggers } = this.#wrapper.generateContextState({
      chatHistory: [...input.messages.map(toHistoryItem), { type: 'model', response: [''] }],
    });
    return {
      tokens: this.#withBos(contextText.tokenize(this.#model.tokenizer)),
      stop: stopGenerationTriggers.flatMap((trigger) => this.#asStopString(LlamaText(trigger))),
    };
  }

  #withBos(tokens: Token[]): Token[] {
    const { bos, shouldPrependBosToken } = this.#model.tokens;
    if (bos === null || !shouldPrependBosToken || tokens[0] === bos) {
      return tokens.length > 0 || bos === null ? tokens : [bos];
    }
    return [bos, ...tokens];
  }

  /** Triggers that begin with a special token end the generation by that token; only the others are text. */
  #asStopString(trigger: LlamaText): string[] {
    const [first] = trigger.tokenize(this.#model.tokenizer);
    if (first === undefined || this.#model.isSpecialToken(first)) return [];
    return [trigger.toString()];
  }
}

function chatWrapperOf(model: LlamaModel): ChatWrapper {
  const options = {
    warningLogs: false,
    // The answer that a client sends back must give the tokens that were generated, or its prefix is not found again.
    customWrapperSettings: { jinjaTemplate: { trimLeadingWhitespaceInResponses: false } },
  } as const;
  if (model.fileInfo.metadata.tokenizer.chat_template !== undefined) {
    try {
      // By itself the package prefers its own wrapper of a well-known format, which for SmolLM2 leaves out the
      // template's system prompt and begins with the first token twice.
      const wrapper = resolveChatWrapper(model, { ...options, type: 'jinjaTemplate' });
      if (wrapper !== null) return wrapper;
    } catch {
      // A template that cannot be run: one of the formats that the package knows by name.
    }
  }
  return resolveChatWrapper(model, options);
}

function toHistoryItem(message: ChatMessage): ChatHistoryItem {
  switch (message.role) {
    case 'system':
      return { type: 'system', text: message.content };
    case 'assistant':
      return { type: 'model', response: [message.content] };
    case 'user':
    case 'tool':
      return { type: 'user', text: message.content };
  }
}
