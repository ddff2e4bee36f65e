import type { z } from 'zod';

import { ProblemsError } from '../problems';
import type { BotProps, ResolvedProps } from '../props';
import { contradictions } from './contradictions';
import { shown, suggestion } from './kinds';
import { schema } from './schema';

/**
 * Checks props and fills in the defaults.
 *
 * @throws ProblemsError listing every problem, one line each: the prop, what is allowed, what was given.
 */
export function resolveProps(given: BotProps): ResolvedProps {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new ProblemsError([`the props should be an object such as { name: 'bot' }, got ${shown(given)}`]);
  }
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    throw new ProblemsError(parsed.error.issues.flatMap(describe));
  }
  const { data } = parsed;
  const props = { ...data, maxTokens: data.maxTokens ?? Math.min(2048, data.contextSize) };
  const problems = [...contradictions(props), ...idleProps(given)];
  if (problems.length > 0) {
    throw new ProblemsError(problems);
  }
  return props;
}

/** What was given and changes nothing: a default is told from a wish only here. */
function idleProps({ plainPort, externalPort }: BotProps): string[] {
  return plainPort === false && externalPort !== undefined
    ? [`externalPort should be left out when plainPort is false, which closes it, got ${externalPort}`]
    : [];
}

function describe(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    const known = Object.keys(schema.shape);
    return issue.keys.map(
      (key) => `${key} is not a prop${suggestion(key, known) || `; props are ${known.join(', ')}`}`,
    );
  }
  const [prop, ...rest] = issue.path;
  const entry = rest.map((key) => (typeof key === 'number' ? `[${key}]` : `['${String(key)}']`)).join('');
  return [`${String(prop)}${entry} ${issue.message}`];
}
