/** Fills `${VAR}` in the configuration's texts from the environment. */
import { fieldName } from '../errors/validation.js';

const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the value with every reference filled, a problem for each place where a variable is not set or empty, and its name. */
export function fillFromEnvironment(
  value: unknown,
  env: Environment,
): { readonly value: unknown; readonly problems: readonly string[]; readonly unset: readonly string[] } {
  const problems: string[] = [];
  const unset = new Set<string>();

  const fill = (part: unknown, path: readonly PropertyKey[]): unknown => {
    if (typeof part === 'string') {
      return part.replace(REFERENCE, (reference, name: string) => {
        const found = env[name];
        if (found !== undefined && found !== '') return found;
        unset.add(name);
        problems.push(
          `\`${fieldName(path)}\` takes its value from the environment variable ${name}, which is not set`,
        );
        return reference;
      });
    }
    if (Array.isArray(part)) return part.map((item, index) => fill(item, [...path, index]));
    if (typeof part === 'object' && part !== null) {
      return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, fill(item, [...path, key])]));
    }
    return part;
  };

  return { value: fill(value, []), problems, unset: [...unset] };
}
