import { LlamaGrammar, LlamaGrammarEvaluationState } from 'node-llama-cpp';
import type { LlamaModel } from 'node-llama-cpp';
import { answerGrammar, MOST_CALLS } from './answer-grammar.js';
import type { GenerateRequest } from './engine.js';
import { acceptInGrammar, nativeGrammar } from './native.js';
import type { ToolForm } from './tool-form.js';

/** What the answer to one request has to be. */
export interface AnswerRules {
  /** A new state of the grammar, in which `read` was generated already; undefined when that does not fit. */
  readonly grammar?: (read?: string) => LlamaGrammarEvaluationState | undefined;
  /** The grammar holds from the trigger of a call on. */
  readonly afterTrigger: boolean;
  /** The answer may hold calls in this form, at most so many. */
  readonly calls?: { readonly form: ToolForm; readonly most: number; readonly beginsWithCall: boolean };
}

/** Clients ask for the same form again and again. */
const KEPT_GRAMMARS = 32;

const BEGINS_AS_JSON = /^[[{"\w-]/;

/** Makes rules of what requests ask for. */
export class AnswerRulesMaker {
  readonly #model: LlamaModel;
  readonly #form: ToolForm;
  readonly #grammars = new Map<string, LlamaGrammar>();

  constructor(model: LlamaModel, form: ToolForm) {
    this.#model = model;
    this.#form = form;
  }

  /** Undefined when the answer may be anything. @throws when llama.cpp does not take the grammar */
  make(request: Pick<GenerateRequest, 'tools' | 'format'>): AnswerRules | undefined {
    const { tools } = request;
    const wanted = answerGrammar(request, this.#form);
    if (wanted === undefined) return undefined;
    const grammar = this.#grammar(wanted.text);
    // Where the grammar leaves the choice between JSON and a call, the first character tells.
    const beginsWithCall =
      tools?.choice !== 'auto' || (!wanted.afterTrigger && !BEGINS_AS_JSON.test(this.#form.trigger));
    const most = tools?.parallel === true && typeof tools.choice === 'string' ? MOST_CALLS : 1;
    return {
      grammar: (read = '') => this.#begin(grammar, read),
      afterTrigger: wanted.afterTrigger,
      ...(tools === undefined ? {} : { calls: { form: this.#form, most, beginsWithCall } }),
    };
  }

  #begin(grammar: LlamaGrammar, read: string): LlamaGrammarEvaluationState | undefined {
    const state = new LlamaGrammarEvaluationState({ model: this.#model, grammar });
    for (const token of this.#model.tokenize(read)) {
      if (!acceptInGrammar(this.#model, nativeGrammar(state), token)) return undefined;
    }
    return state;
  }

  #grammar(text: string): LlamaGrammar {
    const kept = this.#grammars.get(text);
    this.#grammars.delete(text);
    const grammar = kept ?? new LlamaGrammar(this.#model.llama, { grammar: text });
    this.#grammars.set(text, grammar);
    const [oldest] = this.#grammars.keys();
    if (this.#grammars.size > KEPT_GRAMMARS && oldest !== undefined) this.#grammars.delete(oldest);
    return grammar;
  }
}
