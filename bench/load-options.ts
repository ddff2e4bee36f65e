import { parseArgs } from 'node:util';

import type { ModelName } from './models.js';

export interface LoadOptions {
  readonly minutes: number;
  readonly model: ModelName;
}

export const LOAD_HELP = `Puts ten times its capacity on the service, and says whether it kept its promises.

  npm run load -- [--minutes 10] [--model 135m|1b]

  --minutes    how long, 0.5 to 1440 (default: 10)
  --model      SmolLM2-135M, or a model with the shape of Llama-3.2-1B and random weights (default: 135m)

Exit code 1 when a rule is broken: an answer that is neither 200 nor 429, memory that moves by more than 5 % from
minute 2 on, a sequence that is lost. docs/performance.md says what is done.
`;

/** @returns undefined when help was asked for. @throws on anything it does not know, naming what it would take. */
export function parseLoadOptions(argv: readonly string[]): LoadOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      minutes: { type: 'string', default: '10' },
      model: { type: 'string', default: '135m' },
    },
  });
  if (values.help) return undefined;
  const minutes = Number(values.minutes);
  if (!(minutes >= 0.5 && minutes <= 1440)) {
    throw new Error(`--minutes should be a number from 0.5 to 1440, got ${values.minutes}`);
  }
  if (values.model !== '135m' && values.model !== '1b') {
    throw new Error(`--model should be 135m or 1b, got ${values.model}`);
  }
  return { minutes, model: values.model };
}
