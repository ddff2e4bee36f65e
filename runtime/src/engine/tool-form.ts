import type { ToolCall, ToolFunction } from './engine.js';

/**
 * How a model writes that it asks for a function. With the default form:
 * `<tool_call>\n{"name": "f", "arguments": {…}}\n</tool_call>`.
 */
export interface ToolForm {
  /** With these characters, and no others, a call begins. */
  readonly trigger: string;
  /** Between the trigger and the function's name. */
  readonly open: string;
  /** Between the name and the arguments' JSON. */
  readonly nameEnd: string;
  readonly close: string;
  /** Between two calls. */
  readonly separator: string;
}

/** The form of Hermes and Qwen, which many models have seen; for those whose template says nothing of tools. */
export const GENERIC_FORM: ToolForm = {
  trigger: '<tool_call>',
  open: '\n{"name": "',
  nameEnd: '", "arguments": ',
  close: '}\n</tool_call>',
  separator: '\n',
};

/** Tells a model whose template has no place for tools what there is, and how to ask for it. */
export function describeTools(functions: readonly ToolFunction[]): string {
  const signatures = functions.map((tool) => JSON.stringify({ type: 'function', function: tool }));
  return [
    'You may call one or more functions to assist with the user query.',
    'Here are the available functions, with the JSON schemas of their arguments, within <tools></tools> tags:',
    `<tools>\n${signatures.join('\n')}\n</tools>`,
    'To call a function, return a JSON object with its name and arguments within <tool_call></tool_call> tags:',
    '<tool_call>\n{"name": "<function-name>", "arguments": <arguments-as-JSON>}\n</tool_call>',
  ].join('\n');
}

/** A call as the model wrote it: what a client sends back gives the tokens that were generated. */
export function writeCall({ name, arguments: given }: ToolCall, form = GENERIC_FORM): string {
  return form.trigger + form.open + name + form.nameEnd + given + form.close;
}

export function writeResult(content: string): string {
  return `<tool_response>\n${content}\n</tool_response>`;
}
