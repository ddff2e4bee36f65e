/** Makes the schema of a body once, not with each request: building one costs more than checking a body by it. */
import type { BodyRules } from './sampling-fields.js';

/** More sets of rules than a service has at a time: models come and go. */
const MOST_KEPT = 32;

type SomeRules = Pick<BodyRules, 'models' | 'modelRequired'> & Partial<BodyRules>;

/** `Rules`: those that the schema depends on. A body without tokens to generate has no context to keep to. */
export function bodySchema<Schema, Rules extends SomeRules = BodyRules>(
  make: (rules: Rules) => Schema,
): (rules: Rules) => Schema {
  const kept = new Map<string, Schema>();
  return (rules) => {
    // Model names hold no such character.
    const key = [rules.modelRequired, rules.contextSize, ...rules.models].join('\n');
    let schema = kept.get(key);
    if (schema === undefined) {
      if (kept.size >= MOST_KEPT) kept.clear();
      schema = make(rules);
      kept.set(key, schema);
    }
    return schema;
  };
}
