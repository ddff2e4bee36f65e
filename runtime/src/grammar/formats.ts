/**
 * The `format`s of JSON schemas that a grammar can hold to, as patterns. Each is narrower than its standard: libraries
 * that read the answers (zod, pydantic) differ in what they accept, and all accept what is here.
 */

const YEAR = '(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})';
/** 2000 is one, 1900 is none. */
const LEAP_YEAR = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)';
const DAY_OF_31 = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])';
const DAY_OF_30 = '(0[469]|11)-(0[1-9]|[12][0-9]|30)';
const DAY_OF_FEBRUARY = '02-(0[1-9]|1[0-9]|2[0-8])';
const DATE = `(${YEAR}-(${DAY_OF_31}|${DAY_OF_30}|${DAY_OF_FEBRUARY})|${LEAP_YEAR}-02-29)`;
const CLOCK = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?';
const ZONE = '(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';
const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
/** Eight of them stay below the 253 characters that a name may have. */
const LABEL = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,28}[a-zA-Z0-9])?';
/** Never two hyphens: `xn--` begins a name in Punycode, which has rules of its own. */
const PLAIN_LABEL = '[a-zA-Z0-9]{1,14}(-[a-zA-Z0-9]{1,14}){0,3}';
const TOP_LEVEL = '[a-zA-Z]{2,20}';
const MAILBOX = '[a-zA-Z0-9][a-zA-Z0-9_+-]{0,19}(\\.[a-zA-Z0-9_+-]{1,20}){0,2}';
const URI_CHARACTER = "([a-zA-Z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})";

export const FORMATS: Readonly<Record<string, string>> = {
  date: `^${DATE}$`,
  time: `^${CLOCK}${ZONE}$`,
  'date-time': `^${DATE}T${CLOCK}${ZONE}$`,
  duration: '^P([0-9]{1,4}W|[0-9]{1,4}D(T[0-9]{1,4}H)?|T[0-9]{1,4}[HMS])$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  email: `^${MAILBOX}@(${LABEL}\\.){1,4}${TOP_LEVEL}$`,
  hostname: `^${LABEL}(\\.${LABEL}){0,7}$`,
  ipv4: `^${BYTE}(\\.${BYTE}){3}$`,
  ipv6: '^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$',
  uri: `^https?://(${PLAIN_LABEL}\\.){1,4}${TOP_LEVEL}(:[1-9][0-9]{0,3})?(/${URI_CHARACTER}{0,300})?([?]${URI_CHARACTER}{0,200})?(#${URI_CHARACTER}{0,50})?$`,
};

/** No text of a format is empty, or longer. */
export const LONGEST_OF_FORMAT = 2048;
