import type { ModelName } from './models.js';

/** What is measured. */
export type FigureName =
  'decode' | 'prefill' | 'four-users' | 'worst-gap' | 'newcomer' | 'memory-start' | 'memory-end' | 'start-up';

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
  prefill: {
    title: 'prefill, 900 tokens',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.2, '1b': 1.3 } },
  },
  'four-users': {
    title: 'decode, four users, total',
    unit: 'tokens/s',
    target: { is: 'at least', ratio: { '135m': 1.5, '1b': 1.1 } },
  },
  'worst-gap': {
    title: "worst gap while another's 900 tokens are read",
    unit: 's',
    target: { is: 'at most', ratio: { '135m': 0.2, '1b': 0.08 } },
  },
  // What the small gap costs: the newcomer waits longer, since it shares the machine.
  newcomer: { title: 'first token of that other', unit: 's' },
  'memory-start': { title: 'memory, ready', unit: 'MiB' },
  'memory-end': { title: 'memory, after all rounds', unit: 'MiB' },
  'start-up': { title: 'start to ready', unit: 's' },
};
