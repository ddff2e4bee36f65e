/**
 * Patterns that schema libraries write and that a grammar cannot say (they look ahead), or that let through more than
 * the library accepts. Each with a narrower one: every text of it matches the library's pattern.
 */
import { FORMATS } from './formats.js';

const NARROWER: ReadonlyMap<string, string | undefined> = new Map([
  // zod's `z.email()` up to 4.1
  [
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    FORMATS['email'],
  ],
  // zod's `z.iso.duration()`
  [
    '^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$',
    FORMATS['duration'],
  ],
  // zod's `z.hostname()`
  [
    '^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$',
    FORMATS['hostname'],
  ],
  // zod's `z.ipv6()` in 4.0, which then asks the URL parser too
  [
    '^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})$',
    FORMATS['ipv6'],
  ],
  // pydantic's `Decimal`
  ['^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$', '^-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,15})?$'],
]);

/** What a grammar is made of in the pattern's place. */
export function sayable(pattern: string): string {
  return NARROWER.get(pattern) ?? pattern;
}
