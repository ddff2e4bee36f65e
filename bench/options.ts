import { parseArgs } from 'node:util';

import { DEFAULT_SEQUENCES } from '../runtime/src/engine/options.js';
import type { ModelName } from './models.js';
import { OWN_SCENARIOS } from './own-scenarios.js';
import { SCENARIOS } from './scenarios.js';

export interface Options {
  readonly models: readonly ModelName[];
  readonly scenarios: readonly string[];
  readonly rounds: number;
  /** Of llama-server. */
  readonly slots: number;
}

const NAMES: readonly string[] = [...SCENARIOS, ...OWN_SCENARIOS].map((scenario) => scenario.name);

export const HELP = `Compares our service with llama-server on this machine, with the same model and threads and as much context.

  npm run bench -- [--model 135m|1b|all] [--scenario NAME]... [--rounds N] [--slots N] [--quick]

  --model      SmolLM2-135M, a model with the shape of Llama-3.2-1B and random weights, or both (default: all)
  --scenario   ${NAMES.join(', ')}; can be given several times (default: all of them)
               (the last two are our service's own, with limits in milliseconds; alone they take half a minute)
  --rounds     how often each figure is taken on each server, alternating (default: 5)
  --slots      how many requests llama-server answers at once (default: 4); our service has its default, ${DEFAULT_SEQUENCES}
  --quick      one model (135m), two rounds: does everything work?

The first run sets up what it needs under \${XDG_CACHE_HOME:-~/.cache}/botstack: llama-server from Debian's newest
suite (with mmdebstrap, as root), the bundle's Node, SmolLM2, and the 1B model, together about 1.7 GB. A full run
takes half an hour.
Results go to the terminal as a table, and to bench/results/ as JSON and Markdown.

Examples
  npm run bench                                        everything, as in docs/performance.md
  npm run bench -- --model 1b --scenario worst-gap     one figure
`;

/** @returns undefined when help was asked for. @throws on anything it does not know, naming what it would take. */
export function parseOptions(argv: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      model: { type: 'string' },
      scenario: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      slots: { type: 'string' },
      quick: { type: 'boolean' },
    },
  });
  if (values.help) return undefined;
  const scenarios = values.scenario ?? NAMES;
  for (const name of scenarios) {
    if (!NAMES.includes(name)) {
      throw new Error(`--scenario should be one of ${NAMES.join(', ')}, got ${name}`);
    }
  }
  return {
    models: models(values.model ?? (values.quick ? '135m' : 'all')),
    scenarios,
    rounds: wholeNumber('--rounds', values.rounds ?? (values.quick ? '2' : '5'), 100),
    slots: wholeNumber('--slots', values.slots ?? '4', 32),
  };
}

function models(value: string): ModelName[] {
  if (value === 'all') return ['135m', '1b'];
  if (value === '135m' || value === '1b') return [value];
  throw new Error(`--model should be 135m, 1b or all, got ${value}`);
}

function wholeNumber(option: string, value: string, most: number): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw new Error(`${option} should be an integer from 1 to ${most}, got ${value}`);
  }
  return count;
}
