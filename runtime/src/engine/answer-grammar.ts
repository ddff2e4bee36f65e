import { either, literal, repeat, Rules, sequence, type Expression } from '../grammar/gbnf.js';
import { anyObject } from '../grammar/json-values.js';
import { SchemaGrammar } from '../grammar/schema-grammar.js';
import type { AnswerFormat, GenerateRequest, ToolUse } from './engine.js';
import type { ToolForm } from './tool-form.js';

/** Small models repeat themselves: a list of calls must end some time. */
export const MOST_CALLS = 8;

export interface AnswerGrammar {
  /** In GBNF. */
  readonly text: string;
  /** It holds from the tool form's trigger on, not from the beginning. */
  readonly afterTrigger: boolean;
}

/** What the answer has to be, as a grammar. Undefined when it may be anything. @throws SchemaError */
export function answerGrammar(
  { tools, format }: Pick<GenerateRequest, 'tools' | 'format'>,
  form: ToolForm,
): AnswerGrammar | undefined {
  const rules = new Rules();
  const text = format === undefined ? undefined : formatExpression(format, rules);
  if (tools === undefined) {
    return text === undefined ? undefined : { text: rules.toText(text), afterTrigger: false };
  }
  const call = rules.add(callExpression(tools, form, rules));
  const next = sequence(literal(form.separator + form.trigger), call);
  const most = tools.parallel && typeof tools.choice === 'string' ? MOST_CALLS : 1;
  const calls = most === 1 ? call : sequence(call, repeat(next, 0, most - 1));
  if (tools.choice === 'auto' && text === undefined) return { text: rules.toText(calls), afterTrigger: true };
  const fromTrigger = sequence(literal(form.trigger), calls);
  const root = tools.choice === 'auto' && text !== undefined ? either(text, fromTrigger) : fromTrigger;
  return { text: rules.toText(root), afterTrigger: false };
}

function formatExpression(format: AnswerFormat, rules: Rules): Expression {
  return format.type === 'json_object'
    ? anyObject(rules)
    : new SchemaGrammar(format.schema, [], rules).expression();
}

/** A call without its trigger: name and arguments go together. */
function callExpression({ functions, choice }: ToolUse, form: ToolForm, rules: Rules): Expression {
  const allowed =
    typeof choice === 'string' ? functions : functions.filter(({ name }) => name === choice.name);
  const calls = allowed.map(({ name, parameters }) => {
    const given =
      parameters === undefined ? literal('{}') : new SchemaGrammar(parameters, [], rules).expression();
    return sequence(literal(form.open + name + form.nameEnd), given, literal(form.close));
  });
  return either(...calls);
}
