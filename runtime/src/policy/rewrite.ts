import { isDeepStrictEqual } from 'node:util';

import { editYaml } from '../files/yaml-edit.js';
import { checkPolicy, parsePolicy, renderPolicy } from './read.js';
import type { Policy } from './schema.js';

/** In characters. Nobody writes more by hand, and as a document with comments it takes much memory. */
const MOST_EDITED = 512 * 1024;

/**
 * The text of a policy that takes another's place: what stays keeps the comments and the layout that a person gave it,
 * where that text can be edited.
 *
 * @param before the present text, usable or not
 * @throws PolicyError where `value` is no policy
 */
export async function rewritePolicy(
  before: string,
  value: unknown,
  maxRequestSeconds: number,
): Promise<string> {
  const wanted = checkPolicy(value, maxRequestSeconds);
  const was = before.trim() === '' || before.length > MOST_EDITED ? undefined : tryParse(before);
  if (was === undefined) return renderPolicy(wanted);
  const means = (text: string) => isDeepStrictEqual(tryParse(text), wanted);
  return (await editYaml(before, { was, wanted, means })) ?? renderPolicy(wanted);

  function tryParse(text: string): Policy | undefined {
    try {
      return parsePolicy(text, maxRequestSeconds);
    } catch {
      return undefined;
    }
  }
}
