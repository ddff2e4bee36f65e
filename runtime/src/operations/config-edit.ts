/** Changes single keys of the configuration file and leaves the rest of its text, comments too, as it is. */
import { isDeepStrictEqual } from 'node:util';

import { CORE_SCHEMA, dump, load } from 'js-yaml';

/** Top-level keys and their new values. */
export type ConfigEdit = Readonly<Record<string, unknown>>;

/** Where the file's form does not allow to change a line only (JSON, a value over several lines), it is written anew. */
export function editConfig(text: string, edit: ConfigEdit): string {
  const before = load(text, { schema: CORE_SCHEMA }) as Record<string, unknown>;
  const wanted = { ...before, ...edit };
  const edited = Object.entries(edit).reduce((lines, [key, value]) => editLine(lines, key, value), text);
  return means(edited, wanted) ? edited : dump(wanted, { schema: CORE_SCHEMA, lineWidth: 120 });
}

function editLine(text: string, key: string, value: unknown): string {
  const line = new RegExp(`^${key}:[^\\n]*\\n?`, 'm');
  // JSON's quotes are YAML's too: no value can be taken for something else.
  const next = `${key}: ${JSON.stringify(value)}\n`;
  if (line.test(text)) return text.replace(line, () => next);
  return text === '' || text.endsWith('\n') ? text + next : `${text}\n${next}`;
}

function means(text: string, wanted: unknown): boolean {
  try {
    return isDeepStrictEqual(load(text, { schema: CORE_SCHEMA }), wanted);
  } catch {
    return false;
  }
}
