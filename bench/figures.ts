import type { ModelName } from './models.js';

/** What is measured. */
export type FigureName =
  | 'decode'
  | 'quoting'
  | 'prefill'
  | 'two-users'
  | 'four-users'
  | 'eight-users'
  | 'four-prompts'
  | 'eight-prompts'
  | 'worst-gap'
  | 'newcomer'
  | 'second-turn'
  | 'many-conversations'
  | 'shared-prompt'
  | 'memory-start'
  | 'memory-end'
  | 'start-up';

export interface Figure {
  readonly title: string;
  readonly unit: 'tokens/s' | 's' | 'MiB';
  /** What the ratio of our figure to llama-server's has to be; without it the figure is for information. */
  readonly target?: {
    readonly is: 'at least' | 'at most';
    readonly ratio: Readonly<Record<ModelName, number>>;
  };
}

export const FIGURES: Readonly<Record<FigureName, Figure>> = {
  decode: {
    title: 'decode, one user',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.0, '1b': 1.0 } },
  },
  quoting: { title: 'decode, one user, an answer that quotes its prompt', unit: 'tokens/s' },
  prefill: {
    title: 'prefill, 900 tokens',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.2, '1b': 1.3 } },
  },
  'two-users': { title: 'decode, two users, total', unit: 'tokens/s' },
  'four-users': {
    title: 'decode, four users, total',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.5, '1b': 1.1 } },
  },
  'eight-users': {
    title: 'eight answers of 96 tokens at once, total',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.5, '1b': 1.1 } },
  },
  'four-prompts': {
    title: 'four users, 250-token prompts of their own, total',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.0, '1b': 1.1 } },
  },
  'eight-prompts': {
    title: 'eight users, 250-token prompts of their own, total',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.0, '1b': 1.1 } },
  },
  'worst-gap': {
    title: "worst gap while another's 900 tokens are read",
    unit: 's',
    target: { is: 'at most', ratio: { '135m': 0.2, '1b': 0.08 } },
  },
  // What the small gap costs: the newcomer waits longer, since it shares the machine.
  newcomer: { title: 'first token of that other', unit: 's' },
  'second-turn': {
    title: 'first token of a second turn, 500 tokens before it',
    unit: 's',
    target: { is: 'at most', ratio: { '135m': 1.0, '1b': 1.0 } },
  },
  'many-conversations': {
    title: 'the same, sixteen conversations in turn',
    unit: 's',
    target: { is: 'at most', ratio: { '135m': 1.0, '1b': 1.0 } },
  },
  'shared-prompt': {
    title: 'four users at once, a cold system prompt of 500 tokens: all answered',
    unit: 's',
    target: { is: 'at most', ratio: { '135m': 0.5, '1b': 0.5 } },
  },
  'memory-start': { title: 'memory, ready', unit: 'MiB' },
  'memory-end': {
    title: 'memory, after all rounds',
    unit: 'MiB',
    target: { is: 'at most', ratio: { '135m': 0.6, '1b': 0.6 } },
  },
  'start-up': { title: 'start to ready', unit: 's' },
};
