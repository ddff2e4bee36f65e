/** The `format`s of JSON schemas that a grammar can hold to, as patterns. */

const YEAR = '[0-9]{4}';
const MONTH = '(0[1-9]|1[0-2])';
const DAY = '(0[1-9]|[12][0-9]|3[01])';
const CLOCK = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?';
const ZONE = '(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])';
const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const LABEL = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';

export const FORMATS: Readonly<Record<string, string>> = {
  date: `^${YEAR}-${MONTH}-${DAY}$`,
  time: `^${CLOCK}${ZONE}$`,
  'date-time': `^${YEAR}-${MONTH}-${DAY}T${CLOCK}${ZONE}$`,
  duration: '^P([0-9]{1,4}W|[0-9]{1,4}D(T[0-9]{1,4}H)?|T[0-9]{1,4}[HMS])$',
  uuid: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  email: `^[a-zA-Z0-9][a-zA-Z0-9._%+-]{0,62}@(${LABEL}\\.){1,4}[a-zA-Z]{2,20}$`,
  hostname: `^${LABEL}(\\.${LABEL}){0,8}$`,
  ipv4: `^${BYTE}(\\.${BYTE}){3}$`,
  ipv6: '^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$',
};
