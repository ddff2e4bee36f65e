import { JinjaTemplateChatWrapper, LlamaText, resolveChatWrapper } from 'node-llama-cpp';
import type {
  ChatHistoryItem,
  ChatModelFunctions,
  ChatModelResponse,
  ChatWrapper,
  LlamaModel,
  Token,
} from 'node-llama-cpp';
import type { ChatMessage, GenerateRequest, ToolFunction } from './engine.js';
import { describeTools, GENERIC_FORM, type ToolForm, writeCall, writeResult } from './tool-form.js';

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
  readonly #ownForm: ToolForm | undefined;

  constructor(model: LlamaModel) {
    this.#model = model;
    this.#wrapper = chatWrapperOf(model);
    this.#ownForm = formOf(this.#wrapper);
  }

  /** How this model writes calls of tools: as its template has it, or in a form that is explained to it. */
  get toolForm(): ToolForm {
    return this.#ownForm ?? GENERIC_FORM;
  }

  /** The name of the template's format, for people. */
  get format(): string {
    return this.#wrapper.wrapperName;
  }

  render({ input, tools }: Pick<GenerateRequest, 'input' | 'tools'>): RenderedPrompt {
    if ('prompt' in input) return { tokens: this.#withBos(this.#model.tokenize(input.prompt)), stop: [] };
    const functions = tools?.functions ?? [];
    const { contextText, stopGenerationTriggers } =
      this.#ownForm === undefined
        ? this.#wrapper.generateContextState({ chatHistory: explainedHistory(input.messages, functions) })
        : this.#wrapper.generateContextState({
            chatHistory: nativeHistory(input.messages),
            ...(functions.length === 0 ? {} : { availableFunctions: toModelFunctions(functions) }),
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

/** The form that the template itself uses, where it knows tools and writes their arguments as plain JSON. */
function formOf(wrapper: ChatWrapper): ToolForm | undefined {
  if (!(wrapper instanceof JinjaTemplateChatWrapper) || !wrapper.usingJinjaFunctionCallTemplate)
    return undefined;
  const { call, parallelism } = wrapper.settings.functions;
  const text = (part: typeof call.prefix | undefined) =>
    part === undefined ? '' : LlamaText(part).toString();
  const begin = text(parallelism?.call.sectionPrefix) + text(call.prefix);
  const nameEnd = text(call.paramsPrefix);
  // Arguments inside a text, or a name twice: forms that are explained to the model instead.
  const probe = wrapper.generateFunctionCall('f', { a: 1 }).toString();
  const isPlain =
    !nameEnd.includes('{{') && /\{"a": ?1\}/.test(probe) && begin.trim() !== '' && nameEnd !== '';
  if (!isPlain) return undefined;
  // A tag is trigger enough; what follows it is left to the grammar.
  const trigger = /^\s*(<[^<>]+>|\[[A-Z_]+\])/.exec(begin)?.[0] ?? begin;
  return {
    trigger: trigger.trimStart(),
    open: begin.slice(trigger.length),
    nameEnd,
    close: text(call.suffix),
    separator: text(parallelism?.call.betweenCalls),
  };
}

function toModelFunctions(functions: readonly ToolFunction[]): ChatModelFunctions {
  return Object.fromEntries(
    functions.map(({ name, description, parameters }) => [
      name,
      // Handed to the template as it is; the package's type allows only the schemas of its own grammars.
      { description, params: parameters } as ChatModelFunctions[string],
    ]),
  );
}

/** For a template that knows tools: calls and their results in the assistant's turn, as the package wants them. */
function nativeHistory(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const results = new Map(
    messages.flatMap(({ toolCallId, content }) =>
      toolCallId === undefined ? [] : [[toolCallId, content] as const],
    ),
  );
  const history: ChatHistoryItem[] = [];
  let afterResult = false;
  for (const message of messages) {
    if (message.role === 'tool') {
      afterResult = true;
      continue;
    }
    if (message.role !== 'assistant') {
      history.push(plainItem(message.role, message.content));
    } else {
      const response: ChatModelResponse['response'] = message.content === '' ? [] : [message.content];
      for (const call of message.toolCalls ?? []) {
        const result = parsed(results.get(call.id) ?? '');
        response.push({ type: 'functionCall', name: call.name, params: parsed(call.arguments), result });
      }
      addResponse(history, response, afterResult);
    }
    afterResult = false;
  }
  addResponse(history, [''], afterResult);
  return history;
}

/** After a tool's result the same turn goes on. */
function addResponse(
  history: ChatHistoryItem[],
  response: ChatModelResponse['response'],
  goesOn: boolean,
): void {
  const last = history.at(-1);
  if (goesOn && last?.type === 'model') {
    history[history.length - 1] = { type: 'model', response: [...last.response, ...response] };
  } else {
    history.push({ type: 'model', response });
  }
}

/** For a template that knows nothing of tools: all in words. */
function explainedHistory(
  messages: readonly ChatMessage[],
  functions: readonly ToolFunction[],
): ChatHistoryItem[] {
  const history = messages.map((message): ChatHistoryItem => {
    if (message.role === 'tool') return { type: 'user', text: writeResult(message.content) };
    if (message.role !== 'assistant') return plainItem(message.role, message.content);
    const calls = (message.toolCalls ?? []).map((call) => writeCall(call)).join(GENERIC_FORM.separator);
    return { type: 'model', response: [message.content + calls] };
  });
  if (functions.length > 0) {
    const first = history[0];
    const given = first?.type === 'system' ? `${LlamaText.fromJSON(first.text).toString()}\n\n` : '';
    const system = { type: 'system', text: given + describeTools(functions) } as const;
    history.splice(0, given === '' ? 0 : 1, system);
  }
  return [...history, { type: 'model', response: [''] }];
}

function plainItem(role: 'system' | 'user', content: string): ChatHistoryItem {
  return { type: role, text: content };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}
