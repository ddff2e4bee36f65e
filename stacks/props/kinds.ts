/** Kinds of values that props take. Each refuses with a message that says what is allowed and what it got. */
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';

import { canonicalCidr, isIpv4Cidr, isIpv6Cidr } from '../cidr';

/** How a value is shown in a message: as it would be written in main.ts, cut where it is long. */
export function shown(value: unknown): string {
  // JSON has no NaN and no Infinity: it says null.
  const text =
    typeof value === 'string'
      ? `'${value}'`
      : typeof value === 'number'
        ? String(value)
        : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export function valid<T>(allowed: string, check: (value: unknown) => boolean) {
  return z.custom<T>(check, { error: ({ input }) => `should be ${allowed}, got ${shown(input)}` });
}

export function wholeNumber(min: number, max: number) {
  return valid<number>(
    `a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && Number(value) >= min && Number(value) <= max,
  );
}

export function matching(pattern: RegExp, allowed: string) {
  return valid<string>(allowed, (value) => typeof value === 'string' && pattern.test(value));
}

export function ipv4Range(min: number, max: number, allowed: string) {
  return valid<string>(allowed, (value) => typeof value === 'string' && isIpv4Cidr(value, { min, max }));
}

/** IPv4 and IPv6, each with the shortest prefix that it may have. */
export function range(
  shortest: { readonly v4: number; readonly v6: number },
  allowed: string,
  also?: string,
) {
  return valid<string>(
    allowed,
    (value) =>
      typeof value === 'string' &&
      (value === also ||
        isIpv4Cidr(value, { min: shortest.v4, max: 32 }) ||
        isIpv6Cidr(value, { min: shortest.v6, max: 128 })),
  );
}

/**
 * Names a near miss: `us-esat-1` was meant to be us-east-1.
 *
 * @param refusals what to say of values that deserve a message of their own
 */
export function oneOf<Name extends string>(
  names: readonly Name[],
  allowed: string,
  refusals: ReadonlyMap<unknown, string> = new Map(),
) {
  return z.custom<Name>((value) => (names as readonly unknown[]).includes(value), {
    error: ({ input }) =>
      refusals.get(input) ??
      `should be ${allowed}, got ${shown(input)}${typeof input === 'string' ? suggestion(input, names) : ''}`,
  });
}

export function list<T extends z.ZodType>(entry: T, allowed: string) {
  return z.array(entry, { error: ({ input }) => `should be ${allowed}, got ${shown(input)}` });
}

/** The error of a value that is no object at all, and of an object with a key that is not known. */
export function notAn(allowed: string): { error: (issue: z.core.$ZodRawIssue) => string } {
  return {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `should be ${allowed}, got the unknown ${issue.keys.join(', ')}`
        : `should be ${allowed}, got ${shown(issue.input)}`,
  };
}

/** Each entry becomes a resource of its own, named by it. */
export const withoutRepeats = (entries: readonly string[]): string[] => [...new Set(entries)];

/** The same for ranges, which can be written in several ways. */
export const distinctRanges = (ranges: readonly string[]): string[] =>
  withoutRepeats(ranges.map((each) => (each.includes('/') ? canonicalCidr(each) : each)));

/** `; did you mean x?` when one of the known names is near. */
export function suggestion(given: string, known: readonly string[]): string {
  const nearest = closest(given, [...known]);
  return distance(given, nearest) <= Math.max(2, given.length / 3) ? `; did you mean ${nearest}?` : '';
}
