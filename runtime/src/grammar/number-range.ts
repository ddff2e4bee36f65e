/** Numbers within bounds, as expressions over their decimal digits. */
import { either, literal, optional, repeat, sequence, type Expression } from './gbnf.js';

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
  /** The bound itself is not allowed. */
  readonly minExclusive?: boolean;
  readonly maxExclusive?: boolean;
}

/** As many as a double holds exactly. */
const MOST_DIGITS = 15;
/** Of a fraction. */
const MOST_DECIMALS = 15;
const DIGIT = '[0-9]';

/** Whole numbers from `min` to `max`, both included. Undefined when there are none. */
export function integerRange(min?: number, max?: number): Expression | undefined {
  const options: Expression[] = [];
  if (min === undefined || min < 0) {
    // Mirrored: -5 to -2 is 2 to 5 behind a minus.
    const smallest = max !== undefined && max < 0 ? -max : 1;
    const largest = min === undefined ? undefined : -min;
    if (largest === undefined || smallest <= largest) {
      options.push(sequence(literal('-'), naturalRange(smallest, largest)));
    }
  }
  if (max === undefined || max >= 0) {
    const smallest = Math.max(min ?? 0, 0);
    if (max === undefined || smallest <= max) options.push(naturalRange(smallest, max));
  }
  return options.length === 0 ? undefined : either(...options);
}

/** Decimal numbers within the bounds. Undefined when there are none. */
export function decimalRange(bounds: Bounds): Expression | undefined {
  const { min, max, minExclusive = false, maxExclusive = false } = bounds;
  if (min !== undefined && max !== undefined) {
    if (min > max || (min === max && (minExclusive || maxExclusive))) return undefined;
  }
  const options: Expression[] = [];
  if (max === undefined || max > 0 || (max === 0 && !maxExclusive)) {
    const low =
      min !== undefined && min >= 0 ? { value: min, strict: minExclusive } : { value: 0, strict: false };
    const high = max === undefined ? undefined : { value: max, strict: maxExclusive };
    options.push(magnitudes(low, high));
  }
  if (min === undefined || min < 0) {
    const low =
      max !== undefined && max < 0 ? { value: -max, strict: maxExclusive } : { value: 0, strict: true };
    const high = min === undefined ? undefined : { value: -min, strict: minExclusive };
    options.push(sequence(literal('-'), magnitudes(low, high)));
  }
  const possible = options.filter((option) => option !== '""' && !option.endsWith(' ""'));
  return possible.length === 0 ? undefined : either(...possible);
}

function naturalRange(min: number, max?: number): Expression {
  const low = String(min);
  if (max === undefined) {
    // Only the largest bound has more digits: beyond it, there may be a `maximum` that was taken for none.
    if (low.length > MOST_DIGITS) return literal(low);
    const sameLength = digitsBetween(low, '9'.repeat(low.length));
    if (low.length === MOST_DIGITS) return sameLength;
    return either(sameLength, sequence('[1-9]', repeat(DIGIT, low.length, MOST_DIGITS - 1)));
  }
  const high = String(max);
  const options: Expression[] = [];
  for (let length = low.length; length <= high.length; length++) {
    const from = length === low.length ? low : `1${'0'.repeat(length - 1)}`;
    const to = length === high.length ? high : '9'.repeat(length);
    options.push(digitsBetween(from, to));
  }
  return either(...options);
}

/** Digit strings from `low` to `high`, which have the same length. */
function digitsBetween(low: string, high: string): Expression {
  if (low === high) return literal(low);
  const [first = '', last = ''] = [low[0], high[0]];
  const rest = low.length - 1;
  if (first === last) return sequence(literal(first), digitsBetween(low.slice(1), high.slice(1)));
  if (/^0*$/.test(low.slice(1)) && /^9*$/.test(high.slice(1))) {
    return sequence(`[${first}-${last}]`, repeat(DIGIT, rest, rest));
  }
  const options = [sequence(literal(first), digitsBetween(low.slice(1), '9'.repeat(rest)))];
  if (Number(last) - Number(first) > 1) {
    options.push(sequence(digit(Number(first) + 1, Number(last) - 1), repeat(DIGIT, rest, rest)));
  }
  options.push(sequence(literal(last), digitsBetween('0'.repeat(rest), high.slice(1))));
  return either(...options);
}

function digit(from: number, to: number): Expression {
  return from === to ? literal(String(from)) : `[${from}-${to}]`;
}

interface Bound {
  readonly value: number;
  readonly strict: boolean;
}

/** Numbers from `low` (at least 0) to `high`, by their whole part: between the bounds any fraction, at a bound some. */
function magnitudes(low: Bound, high: Bound | undefined): Expression {
  const from = split(low.value);
  const to = high === undefined ? undefined : split(high.value);
  const whole = (value: number) => literal(String(value));
  if (high !== undefined && to !== undefined && from.whole === to.whole) {
    const fraction = fractionBetween(from.fraction, low.strict, to.fraction, high.strict);
    return fraction === undefined ? '""' : sequence(whole(from.whole), fraction);
  }
  const options = [sequence(whole(from.whole), fractionAbove(from.fraction, low.strict))];
  if (to === undefined || high === undefined) {
    options.push(sequence(naturalRange(from.whole + 1), ANY_FRACTION));
    return either(...options);
  }
  if (to.whole - from.whole > 1) {
    options.push(sequence(naturalRange(from.whole + 1, to.whole - 1), ANY_FRACTION));
  }
  const below = fractionBelow(to.fraction, high.strict);
  if (below !== undefined) options.push(sequence(whole(to.whole), below));
  return either(...options);
}

const ANY_DIGITS = repeat(DIGIT, 0, MOST_DECIMALS);
const NOT_ZERO = sequence(repeat('"0"', 0, MOST_DECIMALS), '[1-9]', ANY_DIGITS);
const ZEROS = repeat('"0"', 0, 3);
const POINT = literal('.');
const ANY_FRACTION = optional(sequence(POINT, repeat(DIGIT, 1, MOST_DECIMALS)));

/** `1.50` -> 1 and `5`: no zeros at the fraction's end. */
function split(value: number): { readonly whole: number; readonly fraction: string } {
  const [whole = '0', fraction = ''] = value.toFixed(MOST_DECIMALS).split('.');
  return { whole: Number(whole), fraction: fraction.replace(/0+$/, '') };
}

/** A fraction, with its point, of at least (or more than) `.low`; nothing at all counts as `.0`. */
function fractionAbove(low: string, strict: boolean): Expression {
  if (low === '' && !strict) return ANY_FRACTION;
  return sequence(POINT, digitsAbove(low, strict));
}

/** Undefined when no fraction is small enough. */
function fractionBelow(high: string, strict: boolean): Expression | undefined {
  if (high === '') return strict ? undefined : optional(sequence(POINT, repeat('"0"', 1, 3)));
  return optional(sequence(POINT, digitsBelow(high, strict)));
}

function fractionBetween(
  low: string,
  lowStrict: boolean,
  high: string,
  highStrict: boolean,
): Expression | undefined {
  if (low === high) {
    if (lowStrict || highStrict) return undefined;
    return low === '' ? optional(sequence(POINT, repeat('"0"', 1, 3))) : sequence(POINT, literal(low), ZEROS);
  }
  const digits = digitsWithin(low, lowStrict, high, highStrict);
  return low === '' && !lowStrict ? optional(sequence(POINT, digits)) : sequence(POINT, digits);
}

/** Digits after the point whose value is at least (or more than) that of `low`. */
function digitsAbove(low: string, strict: boolean): Expression {
  const [first] = low;
  if (first === undefined) return strict ? NOT_ZERO : ANY_DIGITS;
  const options = [sequence(literal(first), digitsAbove(low.slice(1), strict))];
  if (first !== '9') options.push(sequence(digit(Number(first) + 1, 9), ANY_DIGITS));
  return either(...options);
}

/** Digits after the point whose value is at most (or less than) that of `high`, which is not empty. */
function digitsBelow(high: string, strict: boolean): Expression {
  const first = Number(high[0]);
  const rest = high.slice(1);
  const options: Expression[] = [];
  if (first > 0) options.push(sequence(digit(0, first - 1), ANY_DIGITS));
  // What ends here is less than `high`, whose last digit is not 0.
  if (rest !== '') options.push(sequence(literal(String(first)), optional(digitsBelow(rest, strict))));
  else if (!strict) options.push(sequence(literal(String(first)), ZEROS));
  return either(...options);
}

function digitsWithin(low: string, lowStrict: boolean, high: string, highStrict: boolean): Expression {
  const from = Number(low[0] ?? '0');
  const to = Number(high[0] ?? '0');
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  if (from === to) {
    const within = digitsWithin(lowRest, lowStrict, highRest, highStrict);
    return sequence(literal(String(from)), lowRest === '' && !lowStrict ? optional(within) : within);
  }
  const options = [sequence(literal(String(from)), digitsAbove(lowRest, lowStrict))];
  if (to - from > 1) options.push(sequence(digit(from + 1, to - 1), ANY_DIGITS));
  if (highRest !== '')
    options.push(sequence(literal(String(to)), optional(digitsBelow(highRest, highStrict))));
  else if (!highStrict) options.push(sequence(literal(String(to)), ZEROS));
  return either(...options);
}
