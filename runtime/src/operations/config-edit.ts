/** Changes single keys of the configuration file and leaves the rest of its text, comments and layout too, as it is. */
import { isDeepStrictEqual } from 'node:util';

import { CORE_SCHEMA, load } from 'js-yaml';

import { editYaml } from '../files/yaml-edit.js';

export interface ConfigEdit {
  /** Where the mapping lies whose keys change: `[]` is the whole file, `['models', 0]` the first of a list. */
  readonly within: readonly (string | number)[];
  /** Keys and their new values. One that is not there yet goes behind the first of them that is. */
  readonly set: Readonly<Record<string, string>>;
}

/** @throws Error where no change of this place alone means what is wanted, as with a value that others refer to */
export async function editConfig(text: string, edit: ConfigEdit): Promise<string> {
  const wanted = intended(text, edit);
  const means = (edited: string) => isDeepStrictEqual(read(edited), wanted);
  const edited = await editYaml(text, { was: read(text), wanted, means });
  if (edited !== undefined) return edited;
  const keys = Object.entries(edit.set).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const place = edit.within.length === 0 ? '' : ` of ${edit.within.join('.')}`;
  throw new Error(
    `the configuration cannot be changed by a program as it is written; set ${keys.join(', ')}${place} by hand`,
  );
}

function intended(text: string, { within, set }: ConfigEdit): unknown {
  const whole = read(text);
  const place = within.reduce<unknown>(
    (node, key) => (node as Record<string | number, unknown> | undefined)?.[key],
    whole,
  );
  Object.assign(place as object, set);
  return whole;
}

/** As the service reads it, what is referred to more than once as often. */
function read(text: string): unknown {
  return JSON.parse(JSON.stringify(load(text, { schema: CORE_SCHEMA })));
}
