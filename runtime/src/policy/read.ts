/** Reads an access policy from YAML, or says in a person's words why not. */
import { createHash } from 'node:crypto';

import { CORE_SCHEMA, dump, load as parseYaml, YAMLException } from 'js-yaml';

import { explainIssues } from '../errors/validation.js';
import { policySchema, type Policy } from './schema.js';

/** The policy cannot be used. `problems` are whole sentences, one each. */
export class PolicyError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(problems.join('; '));
    this.name = 'PolicyError';
  }
}

/** @throws PolicyError with every problem found */
export function parsePolicy(text: string, maxRequestSeconds: number): Policy {
  return checkPolicy(parseText(text), maxRequestSeconds);
}

/** @throws PolicyError where it is not YAML */
function parseText(text: string): unknown {
  try {
    return parseYaml(text, { schema: CORE_SCHEMA }) ?? {};
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const { line, column } = error.mark;
    throw new PolicyError([`line ${line + 1}, column ${column + 1}: not valid YAML (${error.reason})`]);
  }
}

/** @throws PolicyError with every problem found */
export function checkPolicy(value: unknown, maxRequestSeconds: number): Policy {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PolicyError(['it should hold keys and values, such as `sessions: { per_token: 5 }`']);
  }
  const schema = policySchema(maxRequestSeconds);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const complaints = explainIssues(result.error, value, schema);
  throw new PolicyError(complaints.map(({ text }) => text));
}

const HEADING = `# The access policy: limits and word rules. Written by bot (console or \`bot policy set\`); edit it as you like,
# the service takes a change over within a second. \`bot policy check\` says whether it is right; docs/policy.md explains.
`;

export function renderPolicy(policy: Policy): string {
  return HEADING + dump(policy, { lineWidth: 100, noRefs: true });
}

/** Names one state of the file, so that two administrators do not overwrite each other's change. */
export function revisionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
